import type { Definition } from './bench.js'
import { sameTexts } from './delivery.js'

/** Every kind of character that a protocol or a query may take for something else. */
const AWKWARD = [
  'plain',
  `it's "quoted" \\ and 100 % ; -- 'x'`,
  '',
  '\u00e9\u20ac\u{1f389}',
  ' a\r\nb\tc ',
  '{"a":1}',
]

/** Rule 9: what a driver publishes is as what anybody else does. */
export const publishing: readonly Definition[] = [
  {
    rule: 9,
    name: 'what the driver publishes arrives in its place among what others publish, unchanged',
    async run(bench) {
      const { harness } = bench
      const driver = await bench.driver()
      const publisher = (await harness.publisher?.()) ?? driver
      if (publisher !== driver) bench.keep(publisher)
      // A driver that only reads has nothing to show.
      if (publisher.publish === undefined) return
      const { name, sink } = await bench.open(driver, await bench.topic('publish'))
      const sent: string[] = []
      for (const text of AWKWARD) {
        if (text !== '') {
          await publisher.publish(name, text)
          sent.push(text)
        }
        await bench.publish(name, `foreign ${text}`)
        sent.push(`foreign ${text}`)
        // The two come over different connections, which a broker reads in any order.
        await sink.received(sent.length, bench.bound)
      }
      await publisher.publish(name, Buffer.from('as bytes'))
      sent.push('as bytes')
      await sink.received(sent.length, bench.bound)
      sameTexts('The topic', sink.texts(), sent)
    },
  },
]
