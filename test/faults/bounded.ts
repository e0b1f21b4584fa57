/** Waits for a promise as long as that may take, whatever becomes of it. */
export async function bounded(promise: Promise<unknown>, milliseconds: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const timeIsUp = new Promise<void>((resolve) => {
    timer = setTimeout(() => resolve(), milliseconds)
  })
  await Promise.race([promise.catch(() => undefined), timeIsUp])
  clearTimeout(timer)
}
