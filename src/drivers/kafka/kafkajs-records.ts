import { Offsets } from './offsets.js'
import { messageFilter } from './transactions.js'
import type { KafkaMessage } from './wire.js'

/** A record as kafkajs decodes it. */
export interface RawMessage {
  offset: string
  timestamp: string
  key: Buffer | null
  value: Buffer | null
  headers?: Record<string, Buffer | Buffer[] | null>
  isControlRecord?: boolean
  batchContext?: {
    firstOffset: string
    lastOffsetDelta: number
    producerId: string
    inTransaction: boolean
  }
}

/** The messages among the records of an answer, and the offset to go on from. */
export function readMessages(
  topic: string,
  partition: number,
  from: bigint,
  raw: readonly RawMessage[],
  aborted: readonly { producerId: string; firstOffset: string }[],
) {
  const last = raw.at(-1)
  if (last === undefined) return { messages: [], next: undefined }
  const isMessage = messageFilter(
    aborted.map(({ producerId, firstOffset }) => ({
      producer: producerId,
      first: BigInt(firstOffset),
    })),
  )
  const messages: KafkaMessage[] = []
  const offsets = new Offsets(from)
  for (const { isControlRecord = false, batchContext, ...message } of raw) {
    const offset = BigInt(message.offset)
    const context = {
      offset,
      key: message.key,
      control: isControlRecord,
      producer: batchContext?.producerId ?? '',
      transactional: batchContext?.inTransaction ?? false,
    }
    offsets.record(offset)
    // A batch comes whole, even if it begins before what was asked for.
    if (!isMessage(context) || offset < from) continue
    messages.push({
      topic,
      partition,
      offset,
      timestamp: Number(message.timestamp),
      key: message.key,
      value: message.value,
      headers: lastOfEach(message.headers ?? {}),
    })
  }
  const { batchContext } = last
  const end = batchContext
    ? BigInt(batchContext.firstOffset) + BigInt(batchContext.lastOffsetDelta)
    : BigInt(last.offset)
  offsets.reached(end + 1n)
  return { messages, next: end + 1n, holes: offsets.holes }
}

function lastOfEach(headers: Record<string, Buffer | Buffer[] | null>) {
  const found = Object.create(null) as Record<string, Buffer | undefined>
  for (const [name, value] of Object.entries(headers)) {
    found[name] = (Array.isArray(value) ? value.at(-1) : value) ?? undefined
  }
  return found
}
