/** @needs a Redis server, a NATS server with JetStream */
import { allRowsHold } from '../support/suite.js'

jest.setTimeout(600_000)

test('a client that moves while it is removed or revoked leaves nothing', async () => {
  await allRowsHold('trials/removal/run.ts', '--rounds', '100')
})
