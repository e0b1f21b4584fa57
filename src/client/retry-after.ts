/** `Retry-After`: seconds or a date, as milliseconds from now. */
export function retryAfter(value: string | null): number | undefined {
  if (value === null || value === '') return undefined
  const wait = /^\d+$/.test(value) ? Number(value) * 1_000 : Date.parse(value) - Date.now()
  return wait > 0 ? wait : undefined
}
