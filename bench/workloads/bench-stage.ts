import type { Contender } from '../contenders.js'
import type { LoadClient, Seen } from '../load-client.js'
import type { Order, Running, Shape } from '../node-contender.js'
import type { Sample } from '../samples.js'

/** How much is done. */
export interface Scale {
  /** After so many minutes nothing new is begun. */
  minutes: number
  rounds: number
  /** Whether those who are far from the floor are measured too, in two rounds at most. */
  others: boolean
  /** The numbers of clients that a topic fans out to. */
  fanOut: readonly number[]
  /** Roughly how many frames one measurement delivers. */
  frames: number
  /** How many clients have 10 of 1,000 topics. */
  manyTopics: number
  /** The payloads whose latency is measured, in bytes. */
  latencyBytes: readonly number[]
  /** How long a fixed rate is kept, in seconds. */
  latencySeconds: number
  /** The numbers of connections that do nothing. */
  idle: readonly number[]
}

/** What a workload works with. */
export interface BenchStage {
  readonly load: LoadClient
  readonly scale: Scale
  /** Those of them that were asked for and can be had on this machine. */
  available(contenders: readonly Contender[]): Promise<Contender[]>
  /** Whether there is time for more. What there is none for is named among what is left out. */
  hasTime(what: string): boolean
  /** Names something that was to be measured and was not, and why. */
  leaveOut(what: string, why: string): void
  /** Keeps a measurement, and shows it. */
  keep(sample: Sample): void
}

export interface Workload {
  readonly name: string
  run(stage: BenchStage): Promise<void>
}

/** Starts a contender, opens its connections, and ends it whatever happens. */
export async function withCrowd<T>(
  { load }: BenchStage,
  contender: Contender,
  shape: Shape,
  use: (server: Running, opened: Seen) => Promise<T>,
): Promise<T> {
  const server = await contender.start(shape)
  try {
    await load.approach(contender.approach)
    return await use(server, await load.open(server.port, shape.clients))
  } finally {
    await server.stop()
    await load.close()
  }
}

/** Rounds in which every contender gets its turn, each time in another order. */
export async function inRounds(
  stage: BenchStage,
  what: string,
  rounds: number,
  contenders: readonly Contender[],
  turn: (contender: Contender, round: number) => Promise<void>,
): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    for (let i = 0; i < contenders.length; i++) {
      const contender = contenders[(i + round) % contenders.length]!
      const which = `${what}, round ${round + 1}, ${contender.name}`
      if (!stage.hasTime(which)) return
      try {
        await turn(contender, round)
      } catch (error) {
        // The others' figures are still worth something.
        stage.leaveOut(which, (error as Error).message)
      }
    }
  }
}

/**
 * Has a contender publish, waits until everything has arrived, and says what it took: CPU of the
 * server per delivered frame, frames a second, and how busy the load client was.
 */
export async function deliver(
  { load }: BenchStage,
  server: Running,
  order: Order,
): Promise<{ metrics: Record<string, number>; seen: Seen; owed: number }> {
  if (server.afterBurst !== undefined)
    server.afterBurst = async (owed) => void (await load.expect(owed))
  await load.reset()
  const { owed } = await server.publish(order)
  const seen = await load.expect(owed)
  const { cpuUs, rss, peak } = await server.usage()
  if (!seen.complete) throw new Error(`${owed} frames were owed, and ${seen.frames} came.`)
  const metrics = {
    cpuUs: cpuUs / seen.frames,
    framesPerSecond: (seen.frames / seen.us) * 1e6,
    loadCpu: seen.cpuUs / seen.us,
    serverCpu: cpuUs / seen.us,
    bytes: seen.bytes / seen.frames,
    rss,
    peak,
  }
  return { metrics, seen, owed }
}

export function count(value: number): string {
  return value.toLocaleString('en-US')
}
