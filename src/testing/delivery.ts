import type { Definition } from './bench.js'
import { check } from './until.js'

/** Rules 1 to 3: everyone gets everything, from the first moment, as it was sent. */
export const delivery: readonly Definition[] = [
  {
    rule: 1,
    name: 'two servers each get every message of a topic',
    needs: ['fanOut'],
    async run(bench) {
      const name = await bench.topic('fanout')
      const topics = [
        await bench.open(await bench.driver(), name),
        await bench.open(await bench.driver(), name),
      ]
      const sent = numbers(50)
      for (const text of sent) await bench.publish(name, text)
      for (const { sink } of topics) {
        await sink.received(sent.length, bench.bound)
        sameTexts('Each of two servers', sink.texts(), sent)
      }
    },
  },
  {
    rule: 2,
    name: 'a message published when subscribe has settled arrives, a hundred times',
    async run(bench) {
      const driver = await bench.driver()
      const rounds = async (label: string) => {
        for (let round = 0; round < 20; round++) {
          const topic = await bench.open(driver, await bench.topic(label))
          await bench.publish(topic.name, `${label} ${round}`)
          await topic.sink.received(1, bench.bound)
          sameTexts('The topic', topic.sink.texts(), [`${label} ${round}`])
          await bench.close(topic)
        }
      }
      await Promise.all(['ready-a', 'ready-b', 'ready-c', 'ready-d', 'ready-e'].map(rounds))
    },
  },
  {
    rule: 2,
    name: 'fifty topics opened at once each get their own messages and no others',
    async run(bench) {
      const topics = await bench.openMany(await bench.driver(), 'many', 50)
      await Promise.all(topics.map(({ name }) => bench.publish(name, `for ${name}`)))
      for (const { name, sink } of topics) {
        await sink.received(1, bench.bound)
        sameTexts(name, sink.texts(), [`for ${name}`])
      }
    },
  },
  {
    rule: 3,
    name: 'five hundred messages arrive in order and once each',
    async run(bench) {
      const topic = await bench.open(await bench.driver(), await bench.topic('order'))
      const sent = numbers(500)
      for (const text of sent) await bench.publish(topic.name, text)
      await topic.sink.received(sent.length, bench.bound)
      await bench.works(topic)
      sameTexts('The topic', topic.sink.texts().slice(0, -1), sent)
    },
  },
  {
    rule: 3,
    name: 'payloads arrive byte for byte',
    async run(bench) {
      const topic = await bench.open(await bench.driver(), await bench.topic('bytes'))
      const payloads = samples(bench.harness.maxPayload ?? 1_000_000)
      for (const [, payload] of payloads) await bench.publish(topic.name, payload)
      await topic.sink.received(payloads.length, bench.bound)
      payloads.forEach(([what, payload], index) => {
        const entry = topic.sink.entries[index]
        const got = entry?.type === 'message' ? entry.payload : undefined
        check(
          got?.equals(payload) === true,
          `Expected ${what} to arrive unchanged: sent ${show(payload)}, got ${show(got)}.`,
        )
      })
    },
  },
]

function samples(maxPayload: number): [what: string, payload: Buffer][] {
  return [
    ['an empty payload', Buffer.alloc(0)],
    ['line breaks', Buffer.from('a\nb\rc\r\nd\r\n\r\n')],
    ['NUL bytes', Buffer.from('\0a\0\0b\0')],
    ['what looks like a protocol', Buffer.from('data: x\n\nMSG a 1 1\r\nx\r\n+OK\r\n$3\r\nabc')],
    ['emoji', Buffer.from('👩‍👩‍👧‍👦 ✓ 𝒳')],
    ['spaces only', Buffer.from('   ')],
    ['every byte there is', Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))],
    ['bytes that are not UTF-8', Buffer.from([0xc3, 0x28, 0xff, 0xfe, 0xed, 0xa0, 0x80])],
    [`${maxPayload} bytes`, Buffer.alloc(maxPayload, 'unifrost ')],
    ['one byte after a long payload', Buffer.from('x')],
  ]
}

function numbers(count: number): string[] {
  return Array.from({ length: count }, (_, index) => String(index))
}

function show(bytes: Buffer | undefined): string {
  return bytes ? `${bytes.length} bytes (${bytes.toString('hex', 0, 24)})` : 'nothing'
}

export function sameTexts(who: string, got: readonly string[], sent: readonly string[]): void {
  const wrong = sent.findIndex((text, index) => got[index] !== text)
  check(
    wrong === -1,
    `${who} should have got ${sent[wrong]} at place ${wrong}, but got ${got[wrong]}.`,
  )
  check(got.length === sent.length, `${who} should have got ${sent.length}, got ${got.length}.`)
}
