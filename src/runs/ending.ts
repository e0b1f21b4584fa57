/** How a run ended. */
export type RunEnd =
  | { readonly kind: 'done'; /** The JSON of what the producer returned. */ readonly data?: string }
  | { readonly kind: 'failed'; readonly code: string; readonly message: string }
  | { readonly kind: 'stopped' }

/** How a run ends that was paused for too long. */
export const PAUSED_TOO_LONG: RunEnd = {
  kind: 'failed',
  code: 'paused-too-long',
  message: 'It was paused, and nobody went on with it (maxPause).',
}
