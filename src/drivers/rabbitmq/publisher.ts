import type { RabbitConfirmChannel, RabbitConnection } from './connection.js'

/** The channel of a session on which it publishes. RabbitMQ closes it where an exchange is missing. */
export class Publisher {
  #channel: Promise<RabbitConfirmChannel> | undefined

  constructor(private readonly connection: RabbitConnection) {}

  /** Settles when RabbitMQ has the message, or has routed it to nobody. */
  async publish(exchange: string, routingKey: string, content: Buffer): Promise<void> {
    const opening = (this.#channel ??= this.#open())
    const channel = await opening
    await new Promise<void>((resolve, reject) => {
      // What is not confirmed when the channel closes never will be.
      const closed = () => {
        reject(new Error('RabbitMQ has closed the channel. Check that the exchange is there.'))
      }
      this.#closed.add(closed)
      channel.publish(exchange, routingKey, content, {}, (error) => {
        this.#closed.delete(closed)
        if (error === null || error === undefined) resolve()
        else reject(error)
      })
    })
  }

  async close(): Promise<void> {
    await (await this.#channel)?.close()
  }

  readonly #closed = new Set<() => void>()

  #open(): Promise<RabbitConfirmChannel> {
    const opening = (async () => {
      const channel = await this.connection.createConfirmChannel?.()
      if (channel === undefined) {
        throw new Error('The connection given to rabbitmqDriver makes no channels that confirm.')
      }
      channel.on('error', () => undefined)
      channel.on('close', () => {
        forget()
        for (const closed of this.#closed) closed()
        this.#closed.clear()
      })
      return channel
    })()
    const forget = () => {
      if (this.#channel === opening) this.#channel = undefined
    }
    opening.catch(forget)
    return opening
  }
}
