import { performance } from 'node:perf_hooks'
import type { Row } from '../../kit/row.js'
import { seconds, Trial, whole } from '../../kit/row.js'
import { onStage } from '../load-stage.js'

const MESSAGES = 500

/** All are cut off at once, and come back at once. */
export async function storm(clients: number): Promise<Row> {
  const trial = new Trial()
  return onStage({}, async ({ server, crowd }) => {
    await crowd.tell({ do: 'open', from: 0, to: clients })
    await crowd.allGreeted(clients)
    await server.publish(MESSAGES, 200, 100)
    const before = await server.measure()
    await crowd.allReceived(before.owed)
    const began = performance.now()
    const cut = crowd.tell({ do: 'cut' })
    // While they are away, and on their way back.
    await server.publish(MESSAGES, 200, 1_000)
    await cut
    const due = (await server.measure({ collect: false })).owed - before.owed
    await crowd.allGreeted(clients)
    const { received, lost } = await crowd.allReceived(due)
    const took = performance.now() - began
    const after = await server.measure({ collect: false })
    trial.must(received === due, `${received} messages came, not ${due}`)
    trial.must(lost === 0, `${lost} times messages-lost`)
    trial.must(after.connections === clients, `${after.connections} of ${clients} are back`)
    return {
      promise: 'A storm of reconnects is over soon, and costs nobody a message',
      how:
        `${whole(clients)} clients are cut off at once and come back at once, while ` +
        `${MESSAGES} messages are published`,
      figure:
        `all back and caught up after ${seconds(took)}; ${whole(received)} of ${whole(due)} ` +
        `deliveries; event loop at most ${after.loopDelay.toFixed(0)} ms late`,
      problems: trial.problems,
    }
  })
}
