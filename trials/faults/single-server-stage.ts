import type { AudienceSettings } from '../kit/audience.js'
import { Audience } from '../kit/audience.js'
import type { Broker, Messages } from './brokers.js'
import { ChaosProxy } from '../kit/chaos-proxy.js'
import type { ServerConfig } from './faulty-server-messages.js'
import type { Launch } from '../kit/child.js'
import { ServerProcess } from '../kit/child.js'

export interface SingleServerSettings extends AudienceSettings {
  broker: Broker
  config?: Omit<ServerConfig, 'broker'>
  launch?: Launch
}

/** A server under test with its broker, a proxy, checking clients and a publisher. */
export class SingleServerStage extends Audience<SingleServerSettings> {
  server!: ServerProcess
  proxy!: ChaosProxy
  /** Every line that a server has written on stderr. */
  complaints = ''

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

  async strike(): Promise<void> {
    await this.publishOff()
    for (const client of this.clients) client.stop()
    await this.server.kill()
    this.complaints += this.server.stderr
    await this.proxy.close()
  }

  protected get origin(): string {
    return `http://127.0.0.1:${this.proxy.port}`
  }

  protected get clientTTL(): number {
    return this.settings.config?.options?.clientTTL ?? 60_000
  }

  protected send(messages: Messages): Promise<boolean> {
    return this.settings.broker.publish(messages, this.server)
  }

  protected heal(): void {
    this.proxy.healAll()
    for (const client of this.clients) {
      client.read(true)
      if (this.proxy.of(client.localPort)?.vanished) client.comeBack()
    }
  }

  private startServer(): Promise<ServerProcess> {
    const { broker, config, launch } = this.settings
    const whole: ServerConfig = { ...config, broker: broker.config }
    return ServerProcess.start(whole, launch)
  }
}
