import { runInThisContext } from 'node:vm'

/**
 * The process itself. The `process` that Jest gives to tests is a copy of it, which hears of neither
 * `exit` nor `disconnect`.
 */
const self = runInThisContext('process') as NodeJS.Process & { [known]?: true }
// Jest makes a copy of this module for each test file, and the process is one.
const known = Symbol.for('unifrost.ending')

/**
 * Has the process end by `process.exit` where it is told to by a signal, and where it is a worker of
 * a Jest that was killed: left alone, that one tests on, and its brokers stay for good.
 */
export function endInOrder(): void {
  if (self[known]) return
  self[known] = true
  const end = () => self.exit(1)
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) self.once(signal, end)
  self.once('disconnect', end)
  releaseChannelAfterWork()
}

/**
 * A listener for `disconnect` keeps the channel to the parent referenced, as one for `message` does.
 * A worker has no more work once Jest has taken its listener for `message` away: from then on the
 * channel must not keep the process alive, and `disconnect` is still heard.
 */
function releaseChannelAfterWork(): void {
  self.on('removeListener', (event) => {
    if (event === 'message' && self.listenerCount('message') === 0) self.channel?.unref()
  })
}

/** Has this done when the process ends, unless it ends by SIGKILL. @returns how to call that off */
export function whenEnding(act: () => void): () => void {
  endInOrder()
  self.on('exit', act)
  return () => void self.off('exit', act)
}
