/**
 * What a frame costs beside its bytes, on this Node: `npx tsx --expose-gc bench/frame-memory.ts 200`,
 * with the payload's bytes, each in a process of its own, since memory is not given back at once.
 * `FRAME_OVERHEAD` in src/wire/frame.ts must not be below what this prints.
 */
import { encodeEvent } from '../src/wire/encode.js'
import { FRAME_OVERHEAD } from '../src/wire/frame.js'
import { History, TopicHistory } from '../src/delivery/history.js'

const collect = (globalThis as { gc?: () => void }).gc
if (collect === undefined) throw new Error('Run it with --expose-gc.')
const FRAMES = 200_000
const unbounded = { maxBytes: Infinity, maxBytesPerTopic: Infinity, maxAge: Infinity }

function residentBytes(): number {
  collect!()
  collect!()
  return process.memoryUsage.rss()
}

const data = 'x'.repeat(Number(process.argv[2] ?? 200))
const history = new History(unbounded, () => undefined)
const log = new TopicHistory(0)
const before = residentBytes()
let bytes = 0
for (let i = 0; i < FRAMES; i++) {
  const id = `0123456789-${i}`
  bytes += history.append(log, 0, () => encodeEvent({ id, event: 'topic', data })).chunked.length
}
const overhead = (residentBytes() - before - bytes) / FRAMES
console.log(
  `payload ${data.length} B: ${Math.round(bytes / FRAMES)} B of bytes, ${Math.round(overhead)} B ` +
    `beside them (FRAME_OVERHEAD is ${FRAME_OVERHEAD}); ${history.frames} frames kept`,
)
