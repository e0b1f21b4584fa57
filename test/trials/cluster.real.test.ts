/** @needs Redis and NATS servers that may be killed, HAProxy, nginx, root for network namespaces */
import { allRowsHold } from '../support/suite.js'

jest.setTimeout(600_000)

test('three servers look like one, whatever befalls them', async () => {
  await allRowsHold('trials/cluster/run.ts', '--short', '--clients', '60')
})
