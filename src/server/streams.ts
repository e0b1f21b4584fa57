import type { Client, Streamer } from '../index.js'

/** The clients of a process that have a stream, and since when. */
export class Streams {
  private readonly connected = new Map<Client, number>()

  constructor(streamer: Streamer) {
    streamer.on('connect', (client) => this.connected.set(client, performance.now()))
    // After the other listeners, which ask how long the stream was. The client may have another by then.
    streamer.on('disconnect', (client) => {
      queueMicrotask(() => void (client.connected || this.connected.delete(client)))
    })
  }

  all(): Client[] {
    return [...this.connected.keys()]
  }

  /** Since when a client has its stream, by `performance.now()`. */
  since(client: Client): number | undefined {
    return this.connected.get(client)
  }
}
