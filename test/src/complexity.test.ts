import { setImmediate as turn } from 'node:timers/promises'
import { Client } from '../../src/delivery/client.js'
import type { Connection, Outlet } from '../../src/delivery/connection.js'
import { memoryDriver } from '../../src/drivers/memory.js'
import { encodeEvent } from '../../src/wire/encode.js'
import { doorOf } from '../../src/http/door.js'
import { History, TopicHistory } from '../../src/delivery/history.js'
import { Streamer } from '../../src/streamer.js'
import { ManualClock } from '../support/manual-clock.js'

// What things cost as there are more clients, topics and frames: counted, not timed.

const SIZES = [10, 100, 1_000, 10_000]

/** What has been done since it was last set to nothing. */
const done = { looks: 0, writes: 0, encodings: 0, joins: 0, reads: 0, evictions: 0 }
const nothing = { looks: 0, writes: 0, encodings: 0, joins: 0, reads: 0, evictions: 0 }

const restore: (() => void)[] = []

beforeAll(() => {
  // A frame that stays has memory of its own; what is joined and goes has the pool's.
  count(Buffer, 'allocUnsafeSlow', 'encodings')
  count(Buffer, 'allocUnsafe', 'joins')
  count(TopicHistory.prototype, 'at', 'reads')
  count(TopicHistory.prototype, 'shift', 'evictions')
})

afterAll(() => {
  for (const undo of restore) undo()
})

/** By hand: Jest's spies keep every call, and there are millions. */
function count(target: object, method: string, as: keyof typeof done): void {
  const methods = target as Record<string, (...parameters: unknown[]) => unknown>
  const original = methods[method]!
  methods[method] = function (this: unknown, ...parameters) {
    done[as]++
    return original.apply(this, parameters)
  }
  restore.push(() => (methods[method] = original))
}

/** What `action` costs, with what it leaves to the end of the turn. */
async function costOf(action: () => unknown): Promise<typeof done> {
  await turn()
  Object.assign(done, nothing)
  await action()
  await turn()
  return { ...done }
}

class CountingOutlet implements Outlet {
  connection: Connection | undefined = undefined
  readonly chunked = true
  readonly writable = true
  /** What was written last. */
  bytes: Buffer = Buffer.alloc(0)

  write(bytes: Buffer): boolean {
    done.writes++
    this.bytes = bytes
    return true
  }

  end(): void {
    this.connection!.gone()
  }

  destroy(): void {
    this.connection!.gone()
  }
}

class Crowd {
  readonly driver = memoryDriver()
  readonly clock = new ManualClock()
  readonly streamer = new Streamer(this.driver, { clock: this.clock })
  private made = 0

  /** Connects as many clients, each with the topics that it is to have. */
  async connect(clients: number, topicsOf: (index: number) => string[]): Promise<void> {
    for (let i = 0; i < clients; i++) {
      const client = await this.streamer.newCustomClient(`client ${this.made++}`)
      await Promise.all(topicsOf(i).map((topic) => this.streamer.subscribe(client.id, topic)))
      this.attach(client)
      countLooks(client)
    }
  }

  attach(client: Client, position?: string): void {
    doorOf(this.streamer).attach(client, new CountingOutlet(), { position, address: undefined })
  }

  /** The position of whoever has everything. */
  async position(): Promise<string> {
    const client = await this.streamer.newCustomClient(`client ${this.made++}`)
    const outlet = new CountingOutlet()
    doorOf(this.streamer).attach(client, outlet, { position: undefined, address: undefined })
    const position = /\nid: (.*)\n\n/.exec(outlet.bytes.toString())![1]!
    await client.close()
    return position
  }

  publish(messages: number, topic: string): void {
    for (let i = 0; i < messages; i++) this.driver.publish(topic, 'x')
  }
}

/** Whoever has a message to give looks at whether the client takes it. */
function countLooks(client: Client): void {
  const { get } = Object.getOwnPropertyDescriptor(Client.prototype, 'live')!
  Object.defineProperty(client, 'live', {
    get() {
      done.looks++
      return get!.call(client) as boolean
    },
  })
}

describe.each(SIZES)('with %i clients', (clients) => {
  const crowd = new Crowd()
  const { streamer } = crowd

  beforeAll(async () => {
    await crowd.connect(clients, (i) => ['topic', `one of seven ${i % 7}`])
    await crowd.connect(3, () => ['quiet'])
    // The rings that hold the frames have grown then.
    crowd.publish(20, 'topic')
    crowd.publish(20, 'quiet')
  })

  afterAll(() => streamer.close())

  test.each(['topic', 'quiet'])('a publish touches the clients of its topic: %s', async (topic) => {
    const addressed = topic === 'topic' ? clients : 3
    const each = { ...nothing, looks: addressed, writes: addressed }
    const single = await costOf(() => crowd.publish(1, topic))
    expect(single).toEqual({ ...each, encodings: 1 })
    const burst = await costOf(() => crowd.publish(10, topic))
    expect(burst).toEqual({ ...each, encodings: 10, joins: 1 })
  })

  test('a subscribe, and its end, touch no other client and read no history', async () => {
    const { id } = await streamer.newClient()
    expect(await costOf(() => streamer.subscribe(id, 'topic'))).toEqual(nothing)
    expect(await costOf(() => streamer.unsubscribe(id, 'topic'))).toEqual(nothing)
  })

  test('clients that resume from one position share one join', async () => {
    const everybody = Array.from({ length: clients }, (_, i) => streamer.getClient(`client ${i}`)!)
    for (const client of everybody) client.connection!.destroy('dropped')
    const position = await crowd.position()
    crowd.publish(100, 'topic')
    const cost = await costOf(() => {
      for (const client of everybody) crowd.attach(client, position)
    })
    // The first message of each, and what it missed.
    expect(cost).toMatchObject({ writes: 2 * clients, encodings: clients, joins: 1 })
    // Two topics, looked at twice: what was missed, and that then nothing is.
    expect(cost.reads).toBeLessThan(40 * clients + 400)
  })

  test('all appointments take one timer', () => {
    expect(crowd.clock.pending).toBe(1)
  })
})

describe.each(SIZES)('with %i frames in each topic', (frames) => {
  test.each([1, 10])('resuming %i topics takes a binary search for each', async (topics) => {
    const crowd = new Crowd()
    const names = Array.from({ length: topics }, (_, i) => `topic ${i}`)
    await crowd.connect(2, () => names)
    const client = crowd.streamer.getClient('client 0')!
    for (const name of names) crowd.publish(frames, name)
    await turn()
    client.connection!.destroy('dropped')
    const logarithm = Math.ceil(Math.log2(frames + 1))
    const position = await crowd.position()
    const inTime = await costOf(() => crowd.attach(client, position))
    expect(inTime).toMatchObject({ writes: 1, encodings: 1, joins: 0 })
    expect(inTime.reads).toBeLessThanOrEqual(topics * (logarithm + 2))
    client.connection!.destroy('dropped')
    for (const name of names) crowd.publish(10, name)
    const behind = await costOf(() => crowd.attach(client, position))
    expect(behind).toMatchObject({ writes: 2, encodings: 1, joins: 1 })
    // Looked for twice: what is missed, and that then nothing is.
    expect(behind.reads).toBeLessThanOrEqual(2 * topics * (logarithm + 3) + 2 * 10 * topics)
    await crowd.streamer.close()
  })

  test('a frame is kept once, and dropped once', async () => {
    const bytes = 1_000 * frames
    const history = new History(
      { maxBytes: bytes, maxBytesPerTopic: bytes / 2, maxAge: 1_000 },
      () => undefined,
    )
    const logs = Array.from({ length: 5 }, () => new TopicHistory(0))
    const encoded = encodeEvent({ data: 'x' })
    const keep = (count: number) => {
      for (let i = 0; i < count; i++) {
        // The first topic is over its own share, the others are over that of all.
        const log = logs[i % 3 === 0 ? i % 5 : 0]!
        history.append(log, i, () => encoded)
        history.enforce(log)
      }
    }
    keep(3 * frames)
    const cost = await costOf(() => keep(frames))
    expect(history.evictions).toBeGreaterThan(frames)
    expect(cost.evictions).toBeLessThanOrEqual(2 * frames)
    // What is read beside that is moved when a topic's ring grows, which it does by doubling.
    expect(cost.reads).toBeLessThanOrEqual(4 * frames)
    const left = history.frames
    const aged = await costOf(() => history.expire(Infinity))
    expect(history.frames).toBe(0)
    expect(aged.evictions).toBe(left)
    expect(aged.reads).toBe(0)
  })
})
