import type { AnyRequest } from '../index.js'
import type { MayPublish } from './publishing.js'

const HERE = /^(127\.\d+\.\d+\.\d+|::1|::ffff:127\.\d+\.\d+\.\d+)$/
const HOST = /^(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/i

/**
 * Lets whoever is on this machine publish. The host that the request names is checked too: a page may
 * have its own name lead to this machine, and would then be no stranger to the browser.
 */
export function isFromHere(request: AnyRequest): MayPublish | undefined {
  const named = request.headers[':authority'] ?? request.headers.host ?? ''
  const isHere = HERE.test(request.socket.remoteAddress ?? '') && HOST.test(String(named))
  return isHere && request.headers['x-forwarded-for'] === undefined ? () => true : undefined
}
