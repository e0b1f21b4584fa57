/** What `middleware/` needs beyond the public API. The package does not export it. */
export type { Door } from './http/door.js'
export { doorOf, hasDoor } from './http/door.js'
export { publicError, sendError } from './http/error-response.js'
export { checkRequest, lastEventIdOf, queryOf } from './http/request.js'
export { takeSeat } from './http/seats.js'
export { admit, openStream, serve, STREAM_HEADERS } from './http/stream.js'
