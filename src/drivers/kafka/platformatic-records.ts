import { Offsets } from './offsets.js'
import { messageFilter } from './transactions.js'
import type { FetchQuery, KafkaMessage } from './wire.js'

/** What was fetched of one partition, as @platformatic/kafka decodes it. */
export interface FetchedPartition {
  partitionIndex: number
  errorCode: number
  abortedTransactions: { producerId: bigint; firstOffset: bigint }[] | null
  records?: Batch | Batch[]
}

interface Batch {
  firstOffset: bigint
  lastOffsetDelta: number
  firstTimestamp: bigint
  maxTimestamp: bigint
  attributes: number
  producerId: bigint
  records: {
    offsetDelta: number
    timestampDelta: bigint
    key: Buffer | null
    value: Buffer | null
    headers: [Buffer | null, Buffer | null][]
  }[]
}

/** Bits of a batch's attributes. */
const BATCH = { appendTime: 1 << 3, transactional: 1 << 4, control: 1 << 5 }

/** The messages among the records of an answer, and the offset to go on from. */
export function readMessages(
  { topic, partition, offset: from }: FetchQuery,
  fetched: FetchedPartition,
) {
  const { records = [], abortedTransactions } = fetched
  const batches = Array.isArray(records) ? records : [records]
  const last = batches.at(-1)
  if (last === undefined) return { messages: [], next: undefined }
  const isMessage = messageFilter(
    (abortedTransactions ?? []).map(({ producerId, firstOffset }) => ({
      producer: String(producerId),
      first: firstOffset,
    })),
  )
  const messages: KafkaMessage[] = []
  const offsets = new Offsets(from)
  for (const batch of batches) {
    const producer = String(batch.producerId)
    const control = (batch.attributes & BATCH.control) !== 0
    const transactional = (batch.attributes & BATCH.transactional) !== 0
    const appended = (batch.attributes & BATCH.appendTime) !== 0
    for (const { key, value, headers, offsetDelta, timestampDelta } of batch.records) {
      const offset = batch.firstOffset + BigInt(offsetDelta)
      offsets.record(offset)
      // A batch comes whole, even if it begins before what was asked for.
      if (!isMessage({ offset, producer, control, transactional, key }) || offset < from) continue
      const time = appended ? batch.maxTimestamp : batch.firstTimestamp + timestampDelta
      const timestamp = Number(time)
      messages.push({ topic, partition, offset, timestamp, key, value, headers: byName(headers) })
    }
  }
  const next = last.firstOffset + BigInt(last.lastOffsetDelta) + 1n
  offsets.reached(next)
  return { messages, next, holes: offsets.holes }
}

function byName(headers: readonly [Buffer | null, Buffer | null][]) {
  const found = Object.create(null) as Record<string, Buffer | undefined>
  for (const [name, value] of headers) found[String(name)] = value ?? undefined
  return found
}
