import { OptionsError } from '../../errors.js'
import { connectError, reasonOf as reasonIn } from '../../driver-kit/index.js'
import type { Place } from './names.js'
import type { Origin } from './origin.js'
import type { ExchangeType } from './routes.js'

/** What RabbitMQ itself said, out of what amqplib made of it. */
export function reasonOf(error: unknown): string {
  const reason = reasonIn(error)
  return /with message "(.*)"/s.exec(reason)?.[1] ?? reason
}

/** Why there is no connection, or no channel on one of the user's, and what to do. */
export function linkError({ where, vhost, isBrought }: Origin, cause: unknown): Error {
  if (cause instanceof OptionsError) return cause
  const reason = reasonOf(cause)
  if (isBrought) {
    return new Error(
      `RabbitMQ: ${where} opened no channel (${reason}). If it was closed, it does not come back: ` +
        'make a new driver with a new one, or give rabbitmqDriver an address or a function that ' +
        'makes connections.',
      { cause },
    )
  }
  if (/Expected ConnectionOpenOk|NOT_ALLOWED/.test(reason)) {
    return new Error(
      `RabbitMQ at ${where} did not open the virtual host ${JSON.stringify(vhost)} (${reason}). ` +
        'Create it, give the user permissions in it, or raise its limit of connections.',
      { cause },
    )
  }
  return connectError('RabbitMQ', where, new Error(reason, { cause }), {
    refusal: /ACCESS.REFUSED|SASL/i,
    tls:
      'Check the address, and give a function that calls connect of amqplib with the TLS options ' +
      'it needs.',
  })
}

/** Settings of the driver that its errors name. */
export interface ReadingSettings {
  readonly where: string
  readonly exchangeType: ExchangeType
  readonly queuePrefix: string
}

/** Why RabbitMQ does not let a routing key be read, and what to do. */
export function refusalError(cause: unknown, place: Place, settings: ReadingSettings): Error {
  const { where, exchangeType, queuePrefix } = settings
  const { code } = cause as { code?: unknown }
  const reason = reasonOf(cause)
  const [exchange, key] = place.map((name) => JSON.stringify(name))
  const failure = (text: string) => new Error(`RabbitMQ at ${where} ${text}`, { cause })
  if (code === 403) {
    return failure(
      `does not let this user read ${key} from the exchange ${exchange} (${reason}). It needs the ` +
        `permission to read the exchange, to configure it where it is to be made, and to ` +
        `configure, write and read queues that start with ${JSON.stringify(queuePrefix)}.`,
    )
  }
  if (code === 404) {
    return failure(
      `has no exchange ${exchange} (${reason}). Make it, or correct what address answers.`,
    )
  }
  if (isOtherType(cause)) {
    return failure(
      `has an exchange ${exchange} that is not of type ${exchangeType} (${reason}). Set ` +
        'exchangeType to its type, or take another exchange.',
    )
  }
  const advice = /limit/i.test(reason)
    ? 'Raise that limit, or take another virtual host.'
    : 'Correct what it names, and subscribe again.'
  return failure(`did not open ${key} of the exchange ${exchange} (${reason}). ${advice}`)
}

/** Why RabbitMQ does not take a message, and what to do. */
export function publishError(cause: unknown, [exchange, key]: Place, where: string): Error {
  const place = `${JSON.stringify(key)} on the exchange ${JSON.stringify(exchange)}`
  const { code } = cause as { code?: unknown }
  const advice: Partial<Record<string, string>> = {
    403: ' The user needs the permission to write to the exchange.',
    404: ' Make the exchange, or correct its name.',
  }
  return new Error(
    `RabbitMQ at ${where} did not take a message for ${place} (${reasonOf(cause)}).${advice[String(code)] ?? ''}`,
    { cause },
  )
}

/**
 * Whether an exchange was refused because one of another type has its name. RabbitMQ compares the
 * type before everything else.
 */
export function isOtherType(error: unknown): boolean {
  const { code, message } = error as { code?: unknown; message: string }
  return code === 406 && message.includes("arg 'type'")
}
