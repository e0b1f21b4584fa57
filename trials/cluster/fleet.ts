import { lastingPort } from '../../test/brokers/process.js'
import { until } from '../../test/support/until.js'
import type { AudienceSettings } from '../kit/audience.js'
import { Audience } from '../kit/audience.js'
import { ChaosProxy } from '../kit/chaos-proxy.js'
import type { Launch } from '../kit/child.js'
import { Child } from '../kit/child.js'
import type { Messages } from '../kit/publishing.js'
import type { Balancer, BalancerKind } from './balancer.js'
import { startBalancer } from './balancer.js'
import type { Engine } from './engine.js'
import type { Answer, Ask, ClusterConfig, ClusterServer } from './cluster-server-messages.js'

export interface FleetSettings extends AudienceSettings {
  engine: Engine
  balancer: BalancerKind
  options?: ClusterConfig['options']
  /** What is different about one server. Default: nothing. */
  launch?: (index: number) => { host?: string; launch?: Launch; config?: Partial<ClusterConfig> }
}

export const SERVERS = 3
/** How long SIGTERM spreads the goodbyes, in milliseconds. */
export const OVER = 2_000
export const CLIENT_TTL = 15_000

/** So that two runs on one machine do not meet: addresses that nobody connects from. */
let next = (process.pid % 250) * 250
export function address(): string {
  next++
  return `127.${60 + (Math.floor(next / 62_500) % 100)}.${Math.floor(next / 250) % 250}.${next % 250}`
}

/** Three servers behind a load balancer, with clients that reach it through a chaos proxy. */
export class Fleet extends Audience<FleetSettings> {
  readonly servers: ClusterServer[] = []
  balancer!: Balancer
  private readonly hosts: string[] = []
  private port = 0
  private watching: NodeJS.Timeout | undefined

  static async set(settings: FleetSettings): Promise<Fleet> {
    const fleet = new Fleet(settings)
    try {
      fleet.port = await lastingPort()
      for (let i = 0; i < SERVERS; i++) fleet.hosts.push(settings.launch?.(i).host ?? address())
      await Promise.all(fleet.hosts.map((_, index) => fleet.start(index)))
      fleet.balancer = await startBalancer(
        settings.balancer,
        fleet.hosts.map((host) => `${host}:${fleet.port}`),
      )
      fleet.proxy = await ChaosProxy.start(fleet.balancer.port)
      await until('the balancer to have found the servers', () => fleet.ready(), 10_000)
      await fleet.seat()
      return fleet
    } catch (error) {
      await fleet.strike()
      throw error
    }
  }

  /** Starts a server, in place of one that is over. */
  async start(index: number): Promise<void> {
    this.complaints += this.servers[index]?.stderr ?? ''
    const { engine, name, options, launch } = this.settings
    const own = launch?.(index)
    const config: ClusterConfig = {
      name: `s${index + 1}`,
      driver: engine.driver(name),
      directory: engine.directory(name),
      options: {
        clientTTL: CLIENT_TTL,
        retry: { min: 50, max: 200 },
        heartbeat: 'message',
        heartbeatInterval: 1_000,
        ...options,
      },
      host: this.hosts[index]!,
      port: this.port,
      drainOver: OVER,
      ...own?.config,
    }
    const script = new URL('cluster-server.ts', import.meta.url)
    this.servers[index] = await Child.start<Ask, Answer>(script, config, own?.launch)
  }

  /** What the server answers, or nothing if it does not in time. */
  async ask(index: number, ask: Ask, within = 1_000): Promise<Answer | undefined> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<undefined>((resolve) => {
      timer = setTimeout(() => resolve(undefined), within)
    })
    const answer = await Promise.race([this.servers[index]?.ask(ask), late])
    clearTimeout(timer)
    return answer
  }

  /**
   * The ids of the clients that a server has and the directory remembers. The others go with their
   * connection, and are made anew wherever they come.
   */
  async remembered(index: number): Promise<Set<string>> {
    const { serving } = await this.servers[index]!.mustAsk({ do: 'report' })
    const known = new Set(this.clients.map(({ id }) => id))
    return new Set(serving.filter((id) => known.has(id)))
  }

  /**
   * From now on a page that hears nothing, no heartbeat either, gives its connection up and comes
   * back. The connection stays open behind it, as with a peer that is gone without a word.
   */
  watchHeartbeats(silence = 4_000): void {
    this.watching = setInterval(() => {
      for (const client of this.clients) {
        if (client.connected && performance.now() - client.lastHeard > silence) {
          this.proxy.of(client.localPort)?.vanish()
          client.comeBack()
        }
      }
    }, 250)
  }

  override async strike(): Promise<void> {
    clearInterval(this.watching)
    await super.strike()
    await (this.balancer as Balancer | undefined)?.stop()
  }

  protected get clientTTL(): number {
    return this.settings.options?.clientTTL ?? CLIENT_TTL
  }

  protected send(messages: Messages): Promise<boolean> {
    return this.settings.engine.publish(this.settings.name, messages)
  }

  protected override heal(): void {
    clearInterval(this.watching)
    super.heal()
  }

  protected async killServers(): Promise<void> {
    await Promise.all(this.servers.map((server) => server?.kill()))
    for (const server of this.servers) this.complaints += server?.stderr ?? ''
  }

  /** Whether every server answers by way of the balancer; it goes round, and so must they. */
  private async ready(): Promise<boolean> {
    const answers = await Promise.all(
      this.hosts.map(() => fetch(`${this.origin}/readyz`).catch(() => undefined)),
    )
    return answers.every((answer) => answer?.status === 200)
  }
}
