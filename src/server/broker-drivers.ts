import type { Driver } from '../index.js'
import { memoryDriver } from '../index.js'
import type { Config } from './config/schema.js'

/** The driver of the broker that a configuration names. It connects by itself. */
export async function driverFor({ broker }: Config): Promise<Driver> {
  if (broker.redis !== undefined) {
    const { redisDriver } = await import('../drivers/redis.js')
    return redisDriver(broker.redis.url)
  }
  if (broker.nats !== undefined) {
    const { natsDriver } = await import('../drivers/nats.js')
    const { servers, user, password, token } = broker.nats
    return natsDriver({
      servers,
      ...(user !== undefined && { user }),
      ...(password !== undefined && { pass: password }),
      ...(token !== undefined && { token }),
    })
  }
  return memoryDriver()
}
