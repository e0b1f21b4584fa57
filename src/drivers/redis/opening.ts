import { within } from '../../driver-kit/within.js'

/** What is used of either library's events. */
export interface Emitter {
  on(event: string, listener: (...args: never[]) => void): unknown
}

/** Waits until a connection is made, in time, or does away with it. */
export async function connected(
  connecting: Promise<unknown>,
  lost: Promise<Error>,
  timeout: number,
  signal: AbortSignal,
  destroy: () => void,
): Promise<void> {
  const aborted = new Promise<'aborted'>((resolve) => {
    signal.addEventListener('abort', () => resolve('aborted'), { once: true })
  })
  const outcome = await within(Promise.race([connecting, aborted]), timeout)
  if (outcome !== 'late' && outcome !== 'failed' && outcome !== 'aborted') return
  destroy()
  // What it still comes to concerns nobody.
  connecting.catch(() => undefined)
  if (outcome === 'aborted') throw new Error('the attempt was given up')
  if (outcome === 'late') throw new Error(`no answer within ${timeout} ms`)
  // ioredis rejects with a general error and emits the one that says why.
  const reason = await within(lost, 0)
  if (reason instanceof Error) throw reason
  await connecting
}
