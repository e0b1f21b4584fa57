import * as inNode from './contenders.js'
import type { Contender } from './contenders.js'
import { centrifugoSse, centrifugoWebSocket } from './peers/centrifugo.js'

/** All who are described in the docs. */
export function contendersOfDocs(): Pick<Contender, 'name' | 'what'>[] {
  const { floor, loop, unifrost, express, koa, betterSse, fastifySse, socketIo, http } = inNode
  const node = [unifrost, floor, loop, express, koa, betterSse, fastifySse, socketIo, http]
  return [...node, centrifugoSse, centrifugoWebSocket]
}
