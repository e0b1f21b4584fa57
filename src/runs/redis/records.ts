import type { RunEnd } from '../ending.js'
import type { GoneRecord, RunRecord } from '../store.js'

/** What a script says of a run. */
export function recordFrom(reply: unknown): RunRecord | GoneRecord | undefined {
  if (!Array.isArray(reply)) return undefined
  const [gone, readers, fields] = reply as [number, number, Buffer[]]
  const field = new Map<string, string>()
  for (let at = 0; at < fields.length; at += 2)
    field.set(String(fields[at]), String(fields[at + 1]))
  const owner = field.get('owner')
  if (Number(gone) === 1) return { state: 'expired', owner }
  const end = field.get('end')
  return {
    id: field.get('id') ?? '',
    key: field.get('key') ?? '',
    owner,
    state: field.get('state') as RunRecord['state'],
    term: Number(field.get('term')),
    parts: Number(field.get('parts')),
    bytes: Number(field.get('bytes')),
    startedAt: Number(field.get('started')),
    endedAt: field.has('ended') ? Number(field.get('ended')) : undefined,
    end: end === undefined ? undefined : (JSON.parse(end) as RunEnd),
    readers: Number(readers),
  }
}

/** The batches that a read of a run's log gives: `[[<place>-0, ['b', batch]], …]`. */
export function batchesFrom(reply: unknown): { seq: number; batch: Buffer }[] {
  return (reply as [Buffer, Buffer[]][]).map(([id, fields]) => ({
    seq: Number(String(id).split('-')[0]),
    batch: fields[1]!,
  }))
}
