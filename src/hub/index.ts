/**
 * One hub for all workers of a machine: it has the broker's connections, the messages and the
 * clients' directory; the workers have the sockets of the browsers.
 */
export { startWorkers } from './workers.js'
export type { WorkerApp, WorkerContext } from './serve.js'
export type { Role, Workers } from './workers.js'
export type { WorkersOptions } from './workers-options.js'
export { hubDirectory } from './directory.js'
export type { HubDirectoryOptions } from './directory.js'
export { hubDriver } from './driver.js'
export type { HubDriver, HubDriverOptions } from './driver.js'
export { startHub } from './hub.js'
export type { Hub, HubOptions, HubStats } from './hub.js'
