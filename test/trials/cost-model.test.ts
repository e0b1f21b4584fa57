import { fitTwo, needOf } from '../../trials/cluster/cost-model.js'
import type { CostFit } from '../../trials/cluster/cost-model.js'

const fit: CostFit = {
  ...{ connect: 2_000, comeBack: 1_000, adopt: 1_000, idleServer: 0, heartbeat: 25 },
  ...{ memoryServer: 5e7, memoryClient: 30_000, message: 300, delivery: 10 },
  ...{ connectOperations: 4, adoptOperations: 5, idleOperations: 0, directoryMemory: 400 },
  ...{ directoryCpu: 40, brokerCpu: 50 },
}
const need = { clients: 100_000, topics: 1_000, each: 5, perTopic: 1, stay: 100 }

test('servers are what is to be spread over what reading leaves of each', () => {
  // 5 cores for 500,000 deliveries, 0.1 for heartbeats and 1 for reconnects; 0.3 of each to read.
  expect(needOf(fit, need).servers).toBe(Math.ceil(6.1 / 0.3))
})

test('no number of servers is enough where reading leaves nothing of one', () => {
  expect(needOf({ ...fit, message: 600 }, need).servers).toBe(Infinity)
})

test('two costs are found in what they come to together', () => {
  const rows = [
    [1, 10],
    [2, 10],
    [1, 30],
  ].map(([x, z]) => [x!, z!, 7 * x! + 3 * z!] as const)
  const { a, b } = fitTwo(rows)
  expect(a).toBeCloseTo(7)
  expect(b).toBeCloseTo(3)
})
