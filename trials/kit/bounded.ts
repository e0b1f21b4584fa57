/**
 * Waits for a promise as long as that may take, whatever becomes of it.
 *
 * @returns whether it was kept in time.
 */
export async function bounded(promise: Promise<unknown>, milliseconds: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined
  const timeIsUp = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), milliseconds)
  })
  const kept = promise.then(
    () => true,
    () => false,
  )
  const inTime = await Promise.race([kept, timeIsUp])
  clearTimeout(timer)
  return inTime
}
