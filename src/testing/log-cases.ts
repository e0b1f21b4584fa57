import type { Log, LogEntry } from '../log.js'
import { logOf } from '../log.js'
import type { Bench, Definition, OpenTopic } from './bench.js'
import { recordingSink } from './sink.js'
import { check, inTime, until } from './until.js'

/** A message as a driver with a log hands it over. */
interface Numbered {
  readonly number: number
  readonly text: string
}

/** What a driver promises that has a {@link Log}: its numbers are the same on every server. */
export const logCases: readonly Pick<Definition, 'name' | 'run'>[] = [
  {
    name: 'two servers name the log alike, and number its entries alike, rising over all topics',
    async run(bench) {
      const names = [await bench.topic('log-a'), await bench.topic('log-b')]
      const servers = [await server(bench), await server(bench)]
      for (const one of servers) for (const name of names) await one.open(name)
      for (let index = 0; index < 20; index++) await bench.publish(names[index % 2]!, `${index}`)
      for (const one of servers) await one.received(20, bench.bound)
      const [here, there] = servers.map(({ got, log }) => ({ epoch: log.epoch, got }))
      check(/^[A-Za-z0-9]+$/.test(here!.epoch ?? ''), `The epoch is ${String(here!.epoch)}.`)
      same('The epoch and the messages of the other server', there, here)
      const { got } = servers[0]!
      const fallen = got.find(({ number }, index) => index > 0 && number <= got[index - 1]!.number)
      check(fallen === undefined, `Number ${fallen?.number} comes after one that is not smaller.`)
    },
  },
  {
    name: 'the position stays before an entry until it is handed over, and moves on with others',
    async run(bench) {
      const one = await server(bench)
      const topic = await one.open(await bench.topic('position'))
      const { position } = topic.subscription
      check(position !== undefined, 'The subscription has no position.')
      await bench.publish(topic.name, 'first')
      await one.received(1, bench.bound)
      const [{ number }, before] = [one.got[0]!, one.before[0]!]
      check(number > position, `Entry ${number} came to a topic that is read after ${position}.`)
      check(before < number, `The position was ${before} when entry ${number} was handed over.`)
      const other = await server(bench)
      const elsewhere = await other.open(await bench.topic('elsewhere'))
      await bench.publish(elsewhere.name, 'second')
      await other.received(1, bench.bound)
      const later = other.got[0]!.number
      check(await reached(bench, one.log, later), `The log did not come to ${later}.`)
      check(one.log.position >= later, `The position is ${one.log.position}, not ${later}.`)
    },
  },
  {
    name: 'a topic that is opened is read after what the subscription says, and not before',
    async run(bench) {
      const publisher = await server(bench)
      const name = await bench.topic('since')
      await publisher.open(name)
      await bench.publish(name, 'before')
      await publisher.received(1, bench.bound)
      const one = await server(bench)
      const { subscription } = await one.open(name)
      await bench.publish(name, 'after')
      await Promise.all([one.received(1, bench.bound), publisher.received(2, bench.bound)])
      const [before, after] = publisher.got
      const { position = -1 } = subscription
      const between = position >= before!.number && position < after!.number
      check(between, `Read after ${position}, between ${before!.number} and ${after!.number}.`)
      same('What came', one.got, [after])
    },
  },
  {
    name: 'a number that there is not yet is not reached',
    async run(bench) {
      const { log } = await server(bench)
      const answer = await reached(bench, log, log.position + 1_000_000)
      check(!answer, 'A number far beyond the last one was said to be reached.')
    },
  },
  {
    name: 'any part of the log is read again, exactly, for the topics asked for',
    async run(bench) {
      const names = [await bench.topic('read-a'), await bench.topic('read-b')]
      const one = await server(bench)
      for (const name of names) await one.open(name)
      for (let index = 0; index < 200; index++) await bench.publish(names[index % 2]!, `${index}`)
      await one.received(200, bench.bound)
      // One that has no topics open, as a server has that a client comes to.
      const { log } = await server(bench)
      const numbers = one.got.map(({ number }) => number)
      const last = numbers.at(-1)!
      check(await reached(bench, log, last), `The log did not come to ${last}.`)
      for (const [from, to] of [
        [0, 199],
        [10, 11],
        [77, 150],
        [120, 120],
      ] as const) {
        const [after, through] = [numbers[from]!, numbers[to]!]
        const expected = one.got.slice(from + 1, to + 1)
        same('Both topics', await read(bench, log, names, after, through), expected)
        const half = expected.filter(({ text }) => Number(text) % 2 === 1)
        same('One topic', await read(bench, log, [names[1]!], after, through), half)
      }
    },
  },
  {
    name: 'reading may end anywhere, and many may read at once',
    async run(bench) {
      const one = await server(bench)
      const { name } = await one.open(await bench.topic('early'))
      const { position } = one.log
      for (let index = 0; index < 100; index++) await bench.publish(name, `${index}`)
      await one.received(100, bench.bound)
      const through = one.got.at(-1)!.number
      const some = async (count: number) => {
        let seen = 0
        for await (const entry of one.log.read([name], position, through)) {
          check('number' in entry, 'Something was said to be lost.')
          if (++seen === count) return
        }
        check(seen === count, `Read ${seen} entries, not ${count}.`)
      }
      const reading = Promise.all([1, 2, 50, 99, 100].map(some))
      await inTime('reading the log', reading, bench.bound)
    },
  },
]

/** A driver with its log open, and what all of its topics got, in order. */
async function server(bench: Bench) {
  const driver = await bench.driver()
  const log = logOf(driver)
  check(log !== undefined, 'The driver has no log.')
  await inTime('opening the log', log.open(), bench.bound)
  const got: Numbered[] = []
  /** Where the log's position was when each of them was handed over. */
  const before: number[] = []
  return {
    log,
    got,
    before,
    async open(name: string): Promise<OpenTopic> {
      const sink = recordingSink()
      const message = (payload: string | Uint8Array, number?: number) => {
        sink.message(payload, number)
        before.push(log.position)
        got.push({ number: number ?? NaN, text: Buffer.from(payload as string).toString() })
      }
      const subscribing = driver.subscribe(name, { ...sink, message })
      const subscription = await inTime(`subscribe to ${name} settles`, subscribing, bench.bound)
      return { name, sink, subscription }
    },
    received: (count: number, bound: number) =>
      until(`${count} messages of the log`, () => got.length >= count, bound),
  }
}

function reached(bench: Bench, log: Log, number: number): Promise<boolean> {
  return inTime(`reaching ${number}`, log.reach(number), bench.bound)
}

async function read(
  bench: Bench,
  log: Log,
  topics: readonly string[],
  after: number,
  through: number,
): Promise<Numbered[]> {
  const reading = async () => {
    const entries: LogEntry[] = []
    for await (const entry of log.read(topics, after, through)) entries.push(entry)
    return entries.map((entry) => {
      check('number' in entry, 'Something was said to be lost.')
      const { number, payload } = entry
      // One for all of its topics, or a list with one for each.
      const [first] = [payload].flat() as (string | Uint8Array)[]
      return { number, text: Buffer.from(first as string).toString() }
    })
  }
  return inTime(`reading the log through ${through}`, reading(), bench.bound)
}

function same(what: string, got: unknown, expected: unknown): void {
  const [one, other] = [JSON.stringify(got), JSON.stringify(expected)]
  const shown = (text: string | undefined) => String(text).slice(0, 300)
  check(one === other, `${what}: expected ${shown(other)}, got ${shown(one)}.`)
}
