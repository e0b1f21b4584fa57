/** How a run ended. */
export type RunEnd =
  | { readonly kind: 'done'; /** The JSON of what the producer returned. */ readonly data?: string }
  | { readonly kind: 'failed'; readonly code: string; readonly message: string }
  | { readonly kind: 'stopped' }
