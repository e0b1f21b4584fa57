/** An exchange and a routing key on it. */
export type Place = [exchange: string, routingKey: string]

/** RabbitMQ counts the length of a name in one byte. */
const MAX_BYTES = 255

/** The rule of RabbitMQ that a name breaks. Sent as it is, it would wedge the channel. */
export function brokenRule([exchange, routingKey]: readonly [unknown, unknown]):
  string | undefined {
  if (typeof exchange !== 'string' || exchange === '') return 'an exchange has a name'
  if (typeof routingKey !== 'string') return 'a routing key is a string'
  for (const [what, name] of [
    ['an exchange name', exchange],
    ['a routing key', routingKey],
  ] as const) {
    if (Buffer.byteLength(name) > MAX_BYTES) return `${what} has at most ${MAX_BYTES} bytes`
    if (/\p{Cs}/u.test(name)) return `${what} has no lone surrogates`
  }
  return undefined
}

/** Exchange and routing key as one name, which {@link placeOf} takes apart again. */
export function keyOf(exchange: string, routingKey: string): string {
  return JSON.stringify([exchange, routingKey])
}

export function placeOf(key: string): Place {
  return JSON.parse(key) as Place
}
