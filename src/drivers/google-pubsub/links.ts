import type { PubSub } from '@google-cloud/pubsub'
import { PubSubLink } from './link.js'
import type { LinkOptions } from './link.js'

/** A connection to Google takes about a hundred streams at once, and leaves the rest waiting. */
const STREAMS = 90

/** The links of a driver: as many as its streams need. */
export class Links {
  private readonly links: PubSubLink[] = []

  /** @param limit How many streams a link may have. Default: as many as Google allows. */
  constructor(
    private readonly options: LinkOptions,
    private readonly limit: number | undefined,
  ) {}

  /** The client of the first link, once Pub/Sub has answered it. */
  connected(): Promise<PubSub> {
    return (this.links[0] ?? this.more()).connected()
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

  private more(): PubSubLink {
    const link = new PubSubLink(this.options)
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
