import { createServer } from 'node:http'
import type { RequestListener, Server as HttpServer } from 'node:http'
import { Server } from 'node:net'
import type { AddressInfo } from 'node:net'
import type { StreamerOptions } from '../options.js'
import { Streamer } from '../streamer.js'
import { hubDirectory } from './directory.js'
import { hubDriver } from './driver.js'
import type { HubDriver, HubDriverOptions } from './driver.js'
import type { Part } from './roles.js'
import { tellParent, whenToEnd } from './roles.js'

/** An app: Express's, Koa's, a listener of Node's, or a server of Node's that is not listening yet. */
export type WorkerApp = RequestListener | { callback(): RequestListener } | Server

/** What a worker's app is made with. */
export interface WorkerContext {
  /** The worker's driver. `driver.publish` reaches all workers, where the hub's driver can publish. */
  readonly driver: HubDriver
}

/** What a worker is started with. */
export interface ServeOptions {
  app: (streamer: Streamer, worker: WorkerContext) => WorkerApp | Promise<WorkerApp>
  streamer: Omit<StreamerOptions, 'directory'>
  kindOf: HubDriverOptions['kindOf']
  port: number
  host: string | undefined
  /** Over how long the streams are ended, in milliseconds. */
  drain: number
}

/** Serves the app in this worker, until the parent says otherwise. */
export async function serve(part: Part, options: ServeOptions): Promise<void> {
  const driver = hubDriver(part.address, {
    encoding: part.encoding ?? 'utf8',
    ...(options.kindOf && { kindOf: options.kindOf }),
  })
  const directory = hubDirectory(part.address)
  const streamer = new Streamer(driver, { ...options.streamer, directory })
  await streamer.open()
  const server = serverOf(await options.app(streamer, { driver }))
  const { port, host } = options
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen({ port, host }, () => {
      server.off('error', reject)
      resolve()
    })
  })
  whenToEnd(true, () => {
    void end(streamer, server, options.drain).finally(() => process.exit(0))
  })
  await tellParent({ unifrost: 'ready', port: (server.address() as AddressInfo).port })
}

async function end(streamer: Streamer, server: Server, over: number): Promise<void> {
  const closed = new Promise((resolve) => server.close(resolve))
  await streamer.drain({ over })
  // HTTP/2's server has no idle connections of its own to close.
  ;(server as Partial<HttpServer>).closeIdleConnections?.()
  await closed
}

function serverOf(app: WorkerApp): Server {
  if (app instanceof Server) return app
  return createServer('callback' in app ? app.callback() : app)
}
