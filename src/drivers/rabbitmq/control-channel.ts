import type { RabbitChannel, RabbitConnection } from './connection.js'

/**
 * The channel for everything that RabbitMQ may refuse. RabbitMQ closes the channel on which it
 * refuses something, so messages are consumed on another one, and this one is opened anew when it
 * is next needed.
 */
export class ControlChannel {
  #channel: Promise<RabbitChannel> | undefined

  /** @param check Throws where nothing is to be asked of the broker any more. */
  constructor(
    private readonly connection: RabbitConnection,
    private readonly check: () => void,
  ) {}

  /**
   * Does something that may be refused. What stood in the queue behind something refused is lost
   * with the channel, and is done again on the next one.
   *
   * @throws Error with a `code` where RabbitMQ refuses it; any other where the connection is lost.
   */
  async run<T>(work: (channel: RabbitChannel) => Promise<T>): Promise<T> {
    for (;;) {
      this.check()
      const channel = (this.#channel ??= this.#open())
      const opened = await channel
      try {
        return await work(opened)
      } catch (error) {
        const isRefusal = typeof (error as { code?: unknown }).code === 'number'
        if (isRefusal || this.#channel === channel) throw error
      }
    }
  }

  async close(): Promise<void> {
    await (await this.#channel)?.close()
  }

  #open(): Promise<RabbitChannel> {
    const forget = () => {
      if (this.#channel === channel) this.#channel = undefined
    }
    const channel = openChannel(this.connection, forget)
    channel.catch(forget)
    return channel
  }
}

export async function openChannel(
  connection: RabbitConnection,
  onClose: () => void,
): Promise<RabbitChannel> {
  const opening = connection.createChannel() as Promise<RabbitChannel> | undefined
  if (typeof opening?.then !== 'function') {
    throw new Error(
      'The connection given to rabbitmqDriver makes channels in another way than those of amqplib ' +
        'with promises do. Give it one of those, or a function that makes one.',
    )
  }
  const channel = await opening
  // The call that was refused rejects with the reason. Unheard, this event would throw it again.
  channel.on('error', () => undefined)
  channel.on('close', onClose)
  return channel
}
