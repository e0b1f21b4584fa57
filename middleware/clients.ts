import type { Streamer } from '../src/index.js'
import { BodyError, MethodError, NoClientError, NoIdError, NotOwnerError } from '../src/index.js'
import { queryOf } from '../src/for-middleware.js'
import { jsonBody, MAX_BODY_BYTES } from './body.js'
import type { CrossSiteOptions } from './cross-site.js'
import { checkSite } from './cross-site.js'
import type { Answer, RequestContext, PrincipalOptions } from './request-context.js'
import { ownerOf } from './request-context.js'

/** Options of `clients`. */
export interface ClientsOptions<Context, Principal = unknown>
  extends PrincipalOptions<Context, Principal>, CrossSiteOptions {
  /** The largest body that is read, in bytes. A larger one gets 413. Default: 65,536. */
  maxBodyBytes?: number
}

/**
 * `POST` makes a client, whose owner is the request's user. `DELETE` removes the client that `?id=`
 * or `{"client_id"}` names.
 *
 * @throws MethodError, NoIdError, NoClientError, NotOwnerError, and the errors of `jsonBody`
 */
export async function answerClients<Context, Principal>(
  streamer: Streamer,
  context: RequestContext<Context>,
  options: ClientsOptions<Context, Principal>,
): Promise<Answer> {
  const { request, parsedBody } = context
  const method = request.method ?? 'GET'
  if (method !== 'POST' && method !== 'DELETE') throw new MethodError(method, ['POST', 'DELETE'])
  checkSite(request, options)
  const owner = ownerOf(context, options)
  const body = await jsonBody(request, parsedBody, options.maxBodyBytes ?? MAX_BODY_BYTES)
  if (method === 'POST') {
    const client = await streamer.newClient({ owner, address: context.address })
    return {
      status: 201,
      body: { client_id: client.id, client_ttl_millis: streamer.clientTTL },
    }
  }
  const id = queryOf(request).get('id') ?? clientIdIn(body)
  if (id === undefined || id === '') throw new NoIdError()
  const client = await streamer.findClient(id)
  if (client === undefined) throw new NoClientError()
  if (client.owner !== undefined && client.owner !== owner) throw new NotOwnerError()
  await streamer.removeClient(id)
  return { status: 204 }
}

function clientIdIn(body: unknown): string | undefined {
  const { client_id: id } = Object(body) as { client_id?: unknown }
  if (id !== undefined && typeof id !== 'string') throw new BodyError('client_id must be a string.')
  return id
}
