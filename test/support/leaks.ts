import { setImmediate as nextTurn } from 'node:timers/promises'

/**
 * Runs around every test file: what the file opened and left open fails it. It costs next to
 * nothing, while Jest's own `--detectOpenHandles` takes away the parallel runs.
 *
 * Only what would keep a process alive counts, so a timer that was unref'd is no leak.
 */
const watched = [
  'ChildProcess',
  'FSEventWrap',
  'MessagePort',
  'PipeWrap',
  'StatWatcher',
  'TCPServerWrap',
  'TCPSocketWrap',
  'TLSWrap',
  'Timeout',
  'UDPWrap',
]

function open(): Map<string, number> {
  const counts = new Map<string, number>()
  for (const type of process.getActiveResourcesInfo()) {
    if (watched.includes(type)) counts.set(type, (counts.get(type) ?? 0) + 1)
  }
  return counts
}

function leftOver(before: Map<string, number>): string[] {
  return [...open()]
    .filter(([type, count]) => count > (before.get(type) ?? 0))
    .map(([type, count]) => `${type} (${count - (before.get(type) ?? 0)})`)
}

let before: Map<string, number>

// Both counts are taken inside a hook, where Jest's own timer runs.
beforeAll(() => {
  before = open()
})

afterAll(async () => {
  // Sockets are let go a few turns after `close`; what is still there after a second stays.
  const deadline = performance.now() + 1_000
  let left = leftOver(before)
  while (left.length > 0 && performance.now() < deadline) {
    await nextTurn()
    left = leftOver(before)
  }
  if (left.length > 0) {
    throw new Error(`This test file left open: ${left.join(', ')}. Close what it opened.`)
  }
})
