import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createSecureServer } from 'node:http2'
import type { AddressInfo, Server } from 'node:net'
import { resolve } from 'node:path'
import type { AnyRequest, AnyResponse, ClosableServer, Driver, Logger } from '../index.js'
import { limitConnectionRate, OptionsError, Streamer, UnifrostError } from '../index.js'
import { adminRoutes } from './admin.js'
import { answer } from './answers.js'
import { driverFor } from './broker-drivers.js'
import type { Loaded } from './config/load.js'
import type { Config } from './config/schema.js'
import { claimsOf, gateFor, termsFrom } from './gate.js'
import type { Gate, Publishers, Terms } from './gate.js'
import { Idempotency } from './idempotency.js'

/** What a server needs beside its configuration. */
export interface ServerParts extends Publishers {
  readonly logger: Logger
  /** The broker's driver. Default: that of the configuration. */
  readonly driver?: Driver
}

/** The server: the Streamer, the port for browsers, and the port for those who run it. */
export class UnifrostServer {
  readonly streamer: Streamer
  private readonly idempotency = new Idempotency()
  private readonly servers: (ClosableServer & Server)[] = []
  private terms: Terms
  private gate: Gate
  private ending: Promise<void> | undefined

  private constructor(
    driver: Driver,
    private readonly loaded: Loaded,
    private readonly parts: ServerParts,
  ) {
    const { config } = loaded
    if (config.publish !== undefined && driver.publish === undefined) {
      throw new OptionsError(
        `publish: the broker ${brokerOf(config)} takes nothing from this server.`,
      )
    }
    this.terms = termsFrom(loaded)
    this.streamer = new Streamer(driver, {
      ...streamerOptions(config),
      logger: parts.logger,
      authorize: (principal, topic) => this.terms.maySubscribe(claimsOf(principal), topic),
    })
    this.gate = gateFor(
      this.streamer,
      loaded,
      this.terms,
      this.idempotency,
      (e) => this.failed(e),
      parts,
    )
  }

  /** Starts to serve. @throws what keeps it from listening */
  static async start(loaded: Loaded, parts: ServerParts): Promise<UnifrostServer> {
    const driver = parts.driver ?? (await driverFor(loaded.config))
    const server = new UnifrostServer(driver, loaded, parts)
    try {
      await server.listen()
      return server
    } catch (error) {
      await server.close()
      throw error
    }
  }

  /** The ports that are listened on: they differ from the configuration's where that says 0. */
  get ports(): { listen: number; admin: number | undefined } {
    const portOf = (server: Server | undefined) => (server?.address() as AddressInfo | null)?.port
    return { listen: portOf(this.servers[0]) ?? 0, admin: portOf(this.servers[1]) }
  }

  /** Ends the streams one by one over `drain.over`, and then everything. */
  close(): Promise<void> {
    const over = this.loaded.config.drain.over
    return (this.ending ??= this.streamer.shutdown(
      this.servers.filter((it) => it.listening),
      { over },
    ))
  }

  private async listen(): Promise<void> {
    const { listen, admin, limits } = this.loaded.config
    const routes = adminRoutes(this.streamer)
    const main = this.webServer((request, response) => {
      const route = admin === undefined ? routes(request) : undefined
      if (route === undefined) this.gate(request, response)
      else route(response)
    })
    if (limits.newPerSecond !== undefined)
      limitConnectionRate(main, { perSecond: limits.newPerSecond })
    await listening(main, listen.port, listen.host)
    this.servers.push(main)
    if (admin === undefined) return
    const second = createServer((request, response) => {
      const route = routes(request)
      if (route === undefined)
        answer(response, 404, {
          error: { code: 'ERR_UNIFROST_NO_ROUTE', message: 'There is /livez and /readyz.' },
        })
      else route(response)
    })
    await listening(second, admin.port, admin.host ?? listen.host)
    this.servers.push(second)
  }

  private webServer(
    handle: (request: AnyRequest, response: AnyResponse) => void,
  ): ClosableServer & Server {
    const { listen } = this.loaded.config
    if (listen.tls === undefined) {
      return createServer((request: IncomingMessage, response: ServerResponse) =>
        handle(request, response),
      )
    }
    const { folder } = this.loaded
    const [cert, key] = [listen.tls.cert, listen.tls.key].map((path) =>
      readFileSync(resolve(folder, path)),
    )
    return createSecureServer({ cert: cert!, key: key!, allowHTTP1: true }, (request, response) =>
      handle(request, response),
    )
  }

  private failed(error: unknown): void {
    if (error instanceof UnifrostError && error.expose && error.status < 500) return
    this.parts.logger.error({ err: error }, 'A request failed.')
  }
}

function listening(server: Server, port: number, host: string | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ port, ...(host !== undefined && { host }) }, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

/** The name of the broker's section. */
export function brokerOf({ broker }: Config): string {
  return Object.keys(broker)[0] ?? 'memory'
}

function streamerOptions({ limits, streams, history }: Config) {
  const given = <T extends object>(options: T) =>
    Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as {
      [K in keyof T]?: Exclude<T[K], undefined>
    }
  return given({
    clientTTL: streams.clientTTL,
    heartbeatInterval: streams.heartbeat,
    topicLinger: streams.topicLinger,
    slowClientTimeout: streams.slowAfter,
    maxConnectionAge: streams.maxAge,
    history: given(history),
    maxTopics: limits.topicsPerClient,
    maxOpenTopics: limits.openTopics,
    maxMessageBytes: limits.messageBytes,
    maxClients: limits.clients,
    maxConnectionsPerAddress: limits.connectionsPerAddress,
    maxConnectionsPerOwner: limits.connectionsPerOwner,
  })
}
