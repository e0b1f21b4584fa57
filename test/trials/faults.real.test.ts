/** @needs NATS and RabbitMQ servers that may be killed, root for libfaketime and namespaces */
import { allRowsHold } from '../support/suite.js'

jest.setTimeout(300_000)

test('nothing is lost in silence, doubled or out of order, whatever breaks', async () => {
  await allRowsHold('trials/faults/run.ts', '--short', '--seconds', '6', '--clients', '60')
})
