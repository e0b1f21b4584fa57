import type { ChildProcess } from 'node:child_process'

/** A connection on its way to a worker, as `node:cluster` hands it over. */
interface Handle {
  /** Below 0 once it is closed. */
  readonly fd: number
  close(): void
}

/**
 * Closes the connections that were on their way to a worker when it died. `node:cluster` keeps them
 * open for ever: a browser would wait for an answer that nobody gives. Closed, it tries again.
 */
export function closeWhatIsOnItsWay(worker: ChildProcess): void {
  const handles = new Set<Handle>()
  const send = worker.send.bind(worker) as (...args: unknown[]) => boolean
  worker.send = (...args: unknown[]) => {
    for (const handle of handles) if (handle.fd < 0) handles.delete(handle)
    if (isHandle(args[1])) handles.add(args[1])
    return send(...args)
  }
  worker.once('exit', () => {
    for (const handle of handles) if (handle.fd >= 0) handle.close()
    handles.clear()
  })
}

function isHandle(value: unknown): value is Handle {
  const { fd, close } = (value ?? {}) as Partial<Handle>
  return typeof fd === 'number' && typeof close === 'function'
}
