import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createSecureServer } from 'node:http2'
import type { AddressInfo, Server } from 'node:net'
import { resolve } from 'node:path'
import type { Server as TlsServer } from 'node:tls'
import type { AnyRequest, AnyResponse, ClosableServer, Driver, Logger } from '../index.js'
import { limitConnectionRate, OptionsError, Streamer, UnifrostError } from '../index.js'
import { adminRoutes, NoAdminRouteError } from './admin.js'
import { answerError } from './answers.js'
import { brokerOf, directoryFor, driverFor } from './broker-drivers.js'
import type { Loaded } from './config/load.js'
import { gateFor } from './gate.js'
import type { Gate, Publishers } from './gate.js'
import { Idempotency } from './idempotency.js'
import { Measures } from './measures.js'
import { RunDesk } from './run-desk.js'
import { Streams } from './streams.js'
import { printOf, restartNeeded } from './reload.js'
import { limitsOf, streamerParts } from './streamer-options.js'
import { Terms } from './terms.js'

/** What a server needs beside its configuration. */
export interface ServerParts extends Publishers {
  readonly logger: Logger
  /** The broker's driver. Default: that of the configuration. */
  readonly driver?: Driver
}

type WebServer = ClosableServer & Server

/** What became of a reload. */
export interface Reloaded {
  /** Whether anything was new. */
  readonly changed: boolean
  /** The keys whose changes wait for a restart. */
  readonly waiting: readonly string[]
}

/** The server: the Streamer, the port for browsers, and the port for those who run it. */
export class UnifrostServer {
  private readonly idempotency = new Idempotency()
  private readonly streams: Streams
  private readonly measures: Measures | undefined
  private readonly desk: RunDesk | undefined
  private main: WebServer | undefined
  private second: WebServer | undefined
  private gate: Gate
  private print: string
  private ending: Promise<void> | undefined

  /**
   * @param streamer Made with `streamerParts`, so that the terms decide on its topics.
   * @param terms Of the same configuration.
   */
  constructor(
    readonly streamer: Streamer,
    private readonly terms: Terms,
    private loaded: Loaded,
    private readonly parts: ServerParts,
  ) {
    this.print = printOf(loaded)
    this.streams = new Streams(streamer)
    this.logStreams()
    if (loaded.config.admin !== undefined) {
      const { workers = 1 } = loaded.config
      this.measures = new Measures(streamer, workers !== 1)
    }
    const { runs, drain } = loaded.config
    this.desk = runs && new RunDesk(streamer, runs, drain.over)
    this.gate = this.gateOf(loaded)
  }

  /** Starts to serve, all in this process. @throws what keeps it from listening */
  static async start(loaded: Loaded, parts: ServerParts): Promise<UnifrostServer> {
    const { config } = loaded
    const driver = parts.driver ?? (await driverFor(config))
    if (config.publish !== undefined && driver.publish === undefined) {
      const broker = brokerOf(config)
      throw new OptionsError(`publish: the broker ${broker} takes nothing from this server.`)
    }
    const directory = await directoryFor(config)
    const terms = new Terms(loaded)
    const options = {
      ...streamerParts(config, terms, parts.logger),
      ...(directory && { directory }),
    }
    const server = new UnifrostServer(new Streamer(driver, options), terms, loaded, parts)
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
    return { listen: portOf(this.main) ?? 0, admin: portOf(this.second) }
  }

  /**
   * Takes over a new configuration while streams are open, all of it or nothing: rules, keys, issuers,
   * certificates, limits. Streams end that the new rules leave without a topic, and those whose token the
   * new keys don't take.
   *
   * @throws what is wrong with it; nothing has changed then.
   */
  async reload(loaded: Loaded): Promise<Reloaded> {
    const print = printOf(loaded)
    if (print === this.print) return { changed: false, waiting: [] }
    const terms = this.terms.prepared(loaded)
    const gate = this.gateOf(loaded)
    const { tls } = loaded.config.listen
    if (tls !== undefined && this.loaded.config.listen.tls !== undefined) {
      ;(this.main as unknown as TlsServer).setSecureContext(certificateOf(loaded))
    }
    this.streamer.setLimits(limitsOf(loaded.config))
    const waiting = restartNeeded(this.loaded.config, loaded.config)
    this.terms.become(terms)
    this.gate = gate
    this.loaded = loaded
    this.print = print
    await this.endForbidden()
    return { changed: true, waiting }
  }

  /** Ends the streams one by one over `drain.over`, and then everything. */
  close(): Promise<void> {
    const { over } = this.loaded.config.drain
    const servers = [this.main, this.second].filter((it) => it?.listening) as WebServer[]
    this.ending ??= this.streamer.shutdown(servers, { over }).finally(() => this.measures?.close())
    return this.ending
  }

  private gateOf(loaded: Loaded): Gate {
    return gateFor({
      ...{ streamer: this.streamer, loaded, verify: (token) => this.terms.verify(token) },
      ...{ idempotency: this.idempotency, publishers: this.parts },
      desk: this.desk,
      allows: (principal, topic) => this.terms.allows(principal, topic),
      allowsOwner: (owner, topic) => this.terms.allowsOwner(owner, topic),
      failed: (error) => this.failed(error),
    })
  }

  private async endForbidden(): Promise<void> {
    const before = this.streams.all().filter((client) => client.totalTopics > 0)
    await this.streamer.recheck()
    const left = before.filter((client) => client.connected && client.totalTopics === 0)
    await Promise.all(left.map((client) => client.close()))
  }

  /** The server for browsers. It does not listen yet. */
  mainServer(): WebServer {
    const { admin, limits } = this.loaded.config
    const routes = adminRoutes(this.streamer)
    const main = this.webServer((request, response) => {
      const route = admin === undefined ? routes(request) : undefined
      if (route === undefined) this.gate(request, response)
      else route(response)
    })
    // The body of a run lasts as long as the run.
    if (this.desk !== undefined && 'requestTimeout' in main) main.requestTimeout = 0
    const { newPerSecond: perSecond } = limits
    if (perSecond !== undefined) limitConnectionRate(main, { perSecond, burst: perSecond })
    return (this.main = main)
  }

  /** Listens on the port for those who run the server, if there is one. */
  async listenForAdmin(): Promise<void> {
    const { listen, admin } = this.loaded.config
    if (admin === undefined) return
    const routes = adminRoutes(this.streamer, this.measures)
    const second = createServer((request, response) => {
      const route = routes(request)
      if (route === undefined) answerError(response, new NoAdminRouteError())
      else route(response)
    })
    await listening(second, admin.port, admin.host ?? listen.host)
    this.second = second
  }

  private async listen(): Promise<void> {
    const { port, host } = this.loaded.config.listen
    await listening(this.mainServer(), port, host)
    await this.listenForAdmin()
  }

  private webServer(handle: (request: AnyRequest, response: AnyResponse) => void): WebServer {
    if (this.loaded.config.listen.tls === undefined) {
      return createServer((request: IncomingMessage, response: ServerResponse) =>
        handle(request, response),
      )
    }
    return createSecureServer(
      { ...certificateOf(this.loaded), allowHTTP1: true },
      (request, response) => handle(request, response),
    )
  }

  /** One line for each stream, at its end. It names nobody. */
  private logStreams(): void {
    this.streamer.on('disconnect', (client, reason) => {
      if (!this.loaded.config.log.access) return
      const since = this.streams.since(client) ?? performance.now()
      const seconds = Math.round(performance.now() - since) / 1_000
      this.parts.logger.info({ reason, seconds }, 'A stream ended.')
    })
  }

  private failed(error: unknown): void {
    if (error instanceof UnifrostError && error.expose && error.status < 500) return
    this.parts.logger.error({ err: error }, 'A request failed.')
  }
}

function certificateOf({ config, folder }: Loaded): { cert: Buffer; key: Buffer } {
  const { cert, key } = config.listen.tls!
  const read = (path: string) => readFileSync(resolve(folder, path))
  return { cert: read(cert), key: read(key) }
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
