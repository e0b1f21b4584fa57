/** A position without its seal. */
export function unsealed(position: string | undefined): string | undefined {
  return position?.replace(/=[\w-]{11}$/, '')
}
