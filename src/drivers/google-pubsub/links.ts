import type { PubSub } from '@google-cloud/pubsub'
import { Reach } from '../../driver-kit/index.js'
import { contact } from './client.js'
import { PubSubLink } from './link.js'
import type { LinkOptions } from './link.js'

/** A connection to Google takes about a hundred streams at once, and leaves the rest waiting. */
const STREAMS = 90

/** The links of a driver: as many as its streams need. */
export class Links {
  /** Whether Pub/Sub can be reached: see `Driver.brokerState`. */
  readonly state = new Reach()
  private readonly links: PubSubLink[] = []

  /** @param limit How many streams a link may have. Default: as many as Google allows. */
  constructor(
    private readonly options: Omit<LinkOptions, 'changed'>,
    private readonly limit: number | undefined,
  ) {}

  /** The client of the first link, once Pub/Sub has answered it. */
  connected(): Promise<PubSub> {
    return (this.links[0] ?? this.more()).connected()
  }

  /** Asks Pub/Sub, also where a client has been answered before and Pub/Sub is away now. */
  async ask(): Promise<void> {
    const client = await this.connected()
    if (this.state.down !== undefined) await contact(client, this.options.connectTimeout)
  }

  /** A link that has room for one more stream. */
  free(client: PubSub): PubSubLink {
    const limit = this.limit ?? (client.isEmulator ? Infinity : STREAMS)
    const free = this.links.find(({ readers }) => readers.size < limit)
    if (free !== undefined) return free
    if (!this.options.owned) throw fullError(limit)
    return this.more()
  }

  async close(): Promise<void> {
    await Promise.all(this.links.map((link) => link.close()))
  }

  private changed(): void {
    if (this.links.every(({ lost }) => !lost)) this.state.found()
    else this.state.lost(new Error('Google Pub/Sub does not answer'))
  }

  private more(): PubSubLink {
    const link = new PubSubLink({ ...this.options, changed: () => this.changed() })
    this.links.push(link)
    return link
  }
}

function fullError(limit: number): Error {
  return new Error(
    `The PubSub given to googlePubSubDriver reads ${limit} topics of the broker already, as many ` +
      'as one connection to Google can. Read few of them with sources and route, or give the ' +
      'configuration, so that the driver makes more connections.',
  )
}
