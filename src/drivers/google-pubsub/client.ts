import type { ClientConfig, PubSub } from '@google-cloud/pubsub'
import { OptionsError } from '../../errors.js'
import { loadPeer, whenAbsent } from '../../driver-kit/index.js'
import { answered, Code, codeOf, once } from './answers.js'

/** The library's own configuration: `projectId`, `credentials`, `keyFilename`, `apiEndpoint`, … */
export interface GooglePubSubConfig extends ClientConfig {
  /** `host:port` of an emulator. Default: `PUBSUB_EMULATOR_HOST`, as the library has it. */
  emulatorHost?: string
}

/**
 * Gives a function that makes clients of our own. What the user has configured comes before what is
 * set here.
 *
 * @throws OptionsError for what is no configuration.
 */
export function maker(config: GooglePubSubConfig): () => Promise<PubSub> {
  const { emulatorHost, ...given } = checkedConfig(config)
  const settings: ClientConfig & Record<string, unknown> = {
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.max_reconnect_backoff_ms': 2_000,
    // A client that replaces another one has to have a connection of its own.
    'grpc.use_local_subchannel_pool': 1,
    ...(emulatorHost && { apiEndpoint: emulatorHost, emulatorMode: true }),
    ...given,
  }
  return async () => {
    const loaded = await loadPeer('googlePubSubDriver', '@google-cloud/pubsub', importPubSub)
    return new loaded.PubSub(settings)
  }
}

function checkedConfig(config: unknown): GooglePubSubConfig {
  const fits = typeof config === 'object' && config !== null && !Array.isArray(config)
  if (!fits) {
    const got = typeof config === 'string' ? JSON.stringify(config) : typeof config
    throw new OptionsError(
      `googlePubSubDriver got ${got}. It takes a PubSub of @google-cloud/pubsub, or what makes ` +
        "one, such as { projectId: 'mine' } or { projectId: 'mine', emulatorHost: 'host:port' }.",
    )
  }
  const { emulatorHost } = config as GooglePubSubConfig
  if (emulatorHost !== undefined && !/^[^\s/:]+:\d+$/.test(String(emulatorHost))) {
    const got = JSON.stringify(emulatorHost)
    throw new OptionsError(`googlePubSubDriver: emulatorHost is ${got}. It takes host:port.`)
  }
  return config
}

export function isPubSub(target: unknown): target is PubSub {
  const { subscription, createSubscription } = (target ?? {}) as Partial<PubSub>
  return typeof subscription === 'function' && typeof createSubscription === 'function'
}

/** Asks for a subscription that does not exist. The answer that it does not shows that all works. */
export async function contact(client: PubSub, timeout: number): Promise<void> {
  const until = performance.now() + timeout
  try {
    // For credentials that it can't read the library throws an error that can't be caught. So they
    // are read first, in their own time.
    if (!client.isEmulator) await answered(client.auth.getClient(), timeout)
    await answered(client.getClientConfig(), until - performance.now())
    const left = until - performance.now()
    const none = client.subscription('unifrost-looks-whether-anybody-answers')
    await answered(none.getMetadata(once(left)), left)
  } catch (error) {
    const code = codeOf(error)
    // Credentials that may not look at subscriptions are known all the same.
    if (code !== Code.NotFound && code !== Code.PermissionDenied) throw error
  }
}

async function importPubSub() {
  try {
    return await import('@google-cloud/pubsub')
  } catch (error) {
    return whenAbsent('@google-cloud/pubsub', error)
  }
}
