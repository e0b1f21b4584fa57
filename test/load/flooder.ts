/** Floods a server with connections, at a rate that does not wait for it. */
import { connect } from 'node:net'
import { getPriority, setPriority } from 'node:os'
import { performance } from 'node:perf_hooks'
import type { FloodOrder, FloodReport } from './messages.js'

// The processor is shared with those whose streams are measured, and belongs to them.
setPriority(getPriority() + 5)

/** How long an answer may take. */
const PATIENCE = 5_000

process.on('message', ({ port, perSecond, milliseconds }: FloodOrder) => {
  const report: FloodReport = {
    milliseconds: 0,
    opened: 0,
    statuses: {},
    withoutRetryAfter: 0,
    errors: {},
  }
  const count = (counts: Record<string, number>, key: string) => {
    counts[key] = (counts[key] ?? 0) + 1
  }
  let pending = 0

  /** Half of them come from one address, half from a thousand. */
  function knock(number: number): void {
    const many = Math.floor(number / 2) % 1_000
    const localAddress =
      number % 2 === 0 ? '127.0.9.1' : `127.1.${Math.floor(many / 250)}.${(many % 250) + 1}`
    const socket = connect({ port, host: '127.0.0.1', localAddress })
    pending++
    socket.setTimeout(PATIENCE, () => socket.destroy(new Error('no answer')))
    socket.write('GET /?topic=flood HTTP/1.1\r\nHost: load\r\nAccept: text/event-stream\r\n\r\n')
    socket.once('data', (chunk) => {
      const head = chunk.toString('latin1')
      const status = /^HTTP\/1\.1 (\d+)/.exec(head)?.[1] ?? 'none'
      count(report.statuses, status)
      if (status !== '200' && !/^retry-after: \d+\r$/im.test(head)) report.withoutRetryAfter++
      // Who got in stays until the flood is over.
      if (status === '200') socket.setTimeout(0)
      else socket.resetAndDestroy()
    })
    socket.on('error', (error: NodeJS.ErrnoException) => {
      count(report.errors, error.code ?? error.message)
    })
    socket.on('close', () => pending--)
  }

  const start = performance.now()
  const timer = setInterval(() => {
    const now = performance.now() - start
    const due = Math.floor((Math.min(now, milliseconds) / 1_000) * perSecond)
    while (report.opened < due) knock(report.opened++)
    if (now < milliseconds) return
    report.milliseconds ||= now
    const answered = Object.values(report.statuses).reduce((sum, n) => sum + n, 0)
    const failed = Object.values(report.errors).reduce((sum, n) => sum + n, 0)
    if (answered + failed < report.opened) return
    clearInterval(timer)
    process.send!(report)
  }, 1)
})
process.on('disconnect', () => process.exit())
process.send!('ready')
