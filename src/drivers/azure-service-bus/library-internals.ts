// Reaches into @azure/service-bus for what it has no public way to do: what it keeps after its own
// `close`, and errors that it leaves unheard. Tried with 7.9.5. In a version that has none of these
// members, nothing is done.
import type { ServiceBusClient, ServiceBusReceiver } from '@azure/service-bus'

interface Socket {
  destroy(error: Error): void
}

/** A link of the library's, which renews its token from time to time. */
interface LinkEntity {
  _tokenRenewalTimer?: NodeJS.Timeout
}

interface StreamingReceiver extends LinkEntity {
  createRheaLink?(options: unknown): Promise<{ close?(options?: unknown): Promise<unknown> }>
  _receiverHelper?: { drain?(): Promise<void> }
}

interface Context {
  connection?: { _connection?: { socket?: { destroy?: unknown } } }
  messageReceivers?: Record<string, LinkEntity>
  managementClients?: Record<string, LinkEntity>
}

const contextOf = (client: ServiceBusClient): Context | undefined =>
  (client as unknown as { _connectionContext?: Context })._connectionContext

const insideOf = (receiver: ServiceBusReceiver): StreamingReceiver | undefined =>
  (receiver as unknown as { _streamingReceiver?: StreamingReceiver })._streamingReceiver

/** The library has no way to give up a connection that does not answer. */
export function socketOf(client: ServiceBusClient): Socket | undefined {
  const socket = contextOf(client)?.connection?._connection?.socket
  return typeof socket?.destroy === 'function' ? (socket as Socket) : undefined
}

/**
 * Sees to it that no error ends the process when a receiver is closed that has subscribed. The
 * library closes a link in two places without hearing what comes of it: where its opening is
 * aborted, and where the broker has not answered within 200 ms that it sends no more. A link that
 * could not be closed in order is gone with its connection.
 */
export function closeQuietly(receiver: ServiceBusReceiver): void {
  const inside = insideOf(receiver)
  const { createRheaLink, _receiverHelper } = inside ?? {}
  if (inside && createRheaLink) {
    inside.createRheaLink = async (options) => {
      const link = await createRheaLink.call(inside, options)
      const { close } = link
      link.close = async (options) => close?.call(link, options).catch(() => undefined)
      return link
    }
  }
  // What is still sent is dropped, so it need not be waited for.
  if (_receiverHelper) _receiverHelper.drain = async () => undefined
}

/**
 * Stops a receiver's timer of three quarters of an hour, which its `close` leaves where the
 * connection is not open at that moment.
 */
export function forgetToken(receiver: ServiceBusReceiver): void {
  stopRenewal(insideOf(receiver))
}

/** Stops the timers of all links that a client still has after it was closed. */
export function forgetTokens(client: ServiceBusClient): void {
  const { messageReceivers = {}, managementClients = {} } = contextOf(client) ?? {}
  for (const link of Object.values(messageReceivers)) stopRenewal(link)
  for (const link of Object.values(managementClients)) stopRenewal(link)
}

function stopRenewal(link: LinkEntity | undefined): void {
  clearTimeout(link?._tokenRenewalTimer)
}
