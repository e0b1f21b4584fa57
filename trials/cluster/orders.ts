/**
 * Whether two servers on a broker without a log could hand a client over to one another: the one
 * that it left gives what it missed through a mark in the broker's stream, the other what follows
 * that mark. It takes both to see the mark at the same place among all other messages.
 */
import { connect } from '@nats-io/transport-node'
import { startNats } from '../../test/brokers/nats.js'
import { writeSection } from '../kit/page.js'
import { whole } from '../kit/row.js'
import { until } from '../../test/support/until.js'

const PUBLISHERS = 2
const MESSAGES = 100_000
const MARKS = 2_000
/** How often all of that is done, on servers of their own. */
const ROUNDS = 6
const SUBJECT = 'orders'

/** What one subscriber saw: for each message, how many marks had come before it. */
interface Seen {
  messages: Map<string, number>
  marks: number
}

interface Figures {
  /** Marks that the two saw at different places. */
  apart: number
  /** Messages that a client would have lost or got twice, over all marks. */
  wrong: number
  lost: number
}

export async function orders(write: boolean, say: (line: string) => void): Promise<void> {
  const all = { apart: 0, wrong: 0, lost: 0 }
  for (let round = 0; round < ROUNDS; round++) {
    const one = await measure()
    all.apart += one.apart
    all.wrong += one.wrong
    all.lost += one.lost
  }
  const { apart, wrong, lost } = all
  const text =
    `${PUBLISHERS} publishers send ${whole(MESSAGES)} messages each through one nats-server, a third ` +
    `${whole(MARKS)} marks in between, ${ROUNDS} times over; two subscribers, as two servers would be, compare what they got ` +
    `before each mark. They differ at **${apart} of ${whole(ROUNDS * MARKS)} marks**: handing a client over at each ` +
    `of them would have lost ${whole(lost)} messages in silence and brought ${whole(wrong - lost)} ` +
    'twice. Measured by `npm run test:cluster -- --orders`.\n'
  say(text)
  if (write) await writeSection('scaling.md', 'orders', text)
}

async function measure(): Promise<Figures> {
  const server = await startNats()
  const open = () => connect({ servers: server.url })
  const connections = await Promise.all(Array.from({ length: PUBLISHERS + 3 }, open))
  try {
    const [first, second, marker, ...publishers] = connections
    const due = PUBLISHERS * MESSAGES + MARKS
    const seen = await Promise.all(
      [first!, second!].map(async (connection) => {
        const seen: Seen = { messages: new Map(), marks: 0 }
        connection.subscribe(SUBJECT, {
          callback: (error, message) => {
            if (error) throw error
            const text = message.string()
            if (text === 'mark') seen.marks++
            else seen.messages.set(text, seen.marks)
          },
        })
        await connection.flush()
        return seen
      }),
    )
    // In small pieces by turns, each of which is on its way before the next one is written.
    const pieces = MESSAGES / MARKS
    await Promise.all(
      [...publishers, marker!].map(async (connection, index) => {
        for (let round = 0; round < MARKS; round++) {
          if (connection === marker) connection.publish(SUBJECT, 'mark')
          else {
            for (let i = 0; i < pieces; i++) {
              connection.publish(SUBJECT, `${index} ${round * pieces + i}`)
            }
          }
          await connection.flush()
        }
      }),
    )
    const all = () => seen.every(({ messages, marks }) => messages.size + marks === due)
    await until('all messages', all, 30_000)
    return compare(seen[0]!, seen[1]!)
  } finally {
    await Promise.all(connections.map((connection) => connection.close()))
    await server.stop()
  }
}

/** The first has the client until a mark, the second from that mark on; and so for every mark. */
function compare(first: Seen, second: Seen): Figures {
  const apart = new Set<number>()
  const figures = { wrong: 0, lost: 0 }
  for (const [message, one] of first.messages) {
    const other = second.messages.get(message) ?? 0
    // Between these two marks it is on one side here, and on the other there.
    for (let mark = Math.min(one, other); mark < Math.max(one, other); mark++) {
      apart.add(mark)
      figures.wrong++
      if (other < one) figures.lost++
    }
  }
  return { ...figures, apart: apart.size }
}
