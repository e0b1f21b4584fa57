import { isReply } from '../../brokers/redis/replies.js'
import type { Call } from './epoch.js'
import { parseInfo, START } from './position.js'
import type { StreamInfo } from './position.js'
import type { Entry, LogEvents, OpenStream, Seen } from './stream.js'

/** No entry has a higher id than this, so a read of what follows it finds nothing. */
const END = '18446744073709551615-18446744073709551615'

/** What a stream says of itself, or undefined where it is not there. */
export async function look(call: Call, name: string): Promise<StreamInfo | undefined> {
  try {
    return parseInfo(await call('XINFO', 'STREAM', name))
  } catch (error) {
    if (isReply(error) && /no such key/i.test(error.message)) return undefined
    throw error
  }
}

/** Reads nothing of a stream, to find out whether this user may. */
export async function tryRead(call: Call, name: string): Promise<void> {
  await call('XREAD', 'COUNT', '1', 'STREAMS', name, END)
}

/** Where a stream ends, once it is sure that this user may read it. */
export async function firstLook(
  call: Call,
  name: string,
  log: LogEvents | undefined,
): Promise<Seen> {
  const [{ info, epoch }] = await Promise.all([see(call, name, log), tryRead(call, name)])
  if (log === undefined) return { info }
  return { info, epoch: await log.settle(call, epoch, info?.last ?? START.id, false) }
}

/** What a stream that is being read says of itself, after these entries were read. */
export async function lookAgain(
  call: Call,
  stream: OpenStream,
  entries: readonly Entry[],
): Promise<Seen> {
  const { name, log } = stream
  const { info, epoch } = await see(call, name, log)
  if (log === undefined) return { info }
  const isAnew = stream.isAnew(entries, info)
  return { info, epoch: await log.settle(call, epoch, info?.last ?? START.id, isAnew) }
}

/** What a stream says, and the epoch beside it, which is read before: it may be replaced after. */
async function see(call: Call, name: string, log: LogEvents | undefined): Promise<Seen> {
  if (log === undefined) return { info: await look(call, name) }
  const [epoch, info] = await Promise.all([call('GET', log.key), look(call, name)])
  return { info, epoch: (epoch as Buffer | null)?.toString() }
}
