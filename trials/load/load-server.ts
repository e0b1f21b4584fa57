import type { ConnectionRate } from '../../src/index.js'
import { Child } from '../kit/child.js'
import type { LoadSettings, ServerCommand, ServerReport } from './counting-server-messages.js'

/** The server under load, as its parent sees it. */
export class LoadServer {
  private constructor(private readonly child: Child<ServerCommand, object>) {}

  /** @param prefix Goes before Node's own command. */
  static async start(settings: LoadSettings, prefix: readonly string[]): Promise<LoadServer> {
    const script = new URL('counting-server.ts', import.meta.url)
    return new LoadServer(await Child.start(script, settings, { prefix }))
  }

  get port(): number {
    return this.child.port
  }

  async measure({ collect = true } = {}): Promise<ServerReport> {
    return (await this.child.mustAsk({ do: 'measure', collect })) as ServerReport
  }

  /** Publishes and waits until all is published. */
  async publish(count: number, bytes: number, perSecond: number): Promise<void> {
    await this.child.mustAsk({ do: 'publish', count, bytes, perSecond })
  }

  /** Has so many clients change a topic for another. */
  async churn(count: number): Promise<void> {
    await this.child.mustAsk({ do: 'churn', count })
  }

  /** Takes so many new connections in a second, from now on. */
  async limit(rate: ConnectionRate): Promise<void> {
    await this.child.mustAsk({ do: 'limit', rate })
  }

  async stop(): Promise<void> {
    await this.child.kill()
  }
}
