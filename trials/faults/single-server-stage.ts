import type { AudienceSettings } from '../kit/audience.js'
import { Audience } from '../kit/audience.js'
import { ChaosProxy } from '../kit/chaos-proxy.js'
import type { Launch } from '../kit/child.js'
import { Child } from '../kit/child.js'
import type { Messages } from '../kit/publishing.js'
import type { Broker } from './brokers.js'
import type { Command, FaultyServer, Reply, ServerConfig } from './faulty-server-messages.js'

export interface SingleServerSettings extends AudienceSettings {
  broker: Broker
  config?: Omit<ServerConfig, 'broker'>
  launch?: Launch
}

/** One server under test with its broker, and an audience that reaches it through a chaos proxy. */
export class SingleServerStage extends Audience<SingleServerSettings> {
  server!: FaultyServer

  static async set(settings: SingleServerSettings): Promise<SingleServerStage> {
    const stage = new SingleServerStage(settings)
    stage.server = await stage.startServer()
    stage.proxy = await ChaosProxy.start(stage.server.port, settings.config?.host)
    await stage.seat()
    return stage
  }

  /** The server dies without a word, and another takes its place. */
  async crash(): Promise<void> {
    await this.server.kill()
    await this.replaceServer()
  }

  async replaceServer(): Promise<void> {
    this.complaints += this.server.stderr
    this.life++
    this.server = await this.startServer()
    this.proxy.target = this.server.port
  }

  protected get clientTTL(): number {
    return this.settings.config?.options?.clientTTL ?? 60_000
  }

  protected send(messages: Messages): Promise<boolean> {
    return this.settings.broker.publish(messages, this.server)
  }

  protected async killServers(): Promise<void> {
    await this.server.kill()
    this.complaints += this.server.stderr
  }

  private startServer(): Promise<FaultyServer> {
    const { broker, config, launch } = this.settings
    const whole: ServerConfig = { ...config, broker: broker.config }
    const script = new URL('faulty-server.ts', import.meta.url)
    return Child.start<Command, Reply>(script, whole, launch)
  }
}
