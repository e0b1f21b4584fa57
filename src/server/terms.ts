import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import type { JwtPayload } from '../../middleware/express.js'
import type { Loaded } from './config/load.js'
import type { Claims } from './pattern.js'
import type { MaySubscribe } from './rules.js'
import { subscribeRules } from './rules.js'
import type { Verify } from './tokens.js'
import { tokenVerifier } from './tokens.js'

/** Rules and keys that were made of a configuration. */
interface Made {
  readonly maySubscribe: MaySubscribe
  readonly verify: Verify
  /** What the keys were made of. */
  readonly keys: string
}

/** The most users whose last claims are remembered. */
const MOST_REMEMBERED = 10_000

/** Who is who, and who may what: it changes with the configuration, while streams are open. */
export class Terms {
  private made: Made
  /** The tokens that principals came from: other keys may not take them. */
  private readonly tokens = new WeakMap<object, { token: string; verify: Verify }>()

  /** The claims that users came with last, by `sub`: for what is done to them while they are away. */
  private readonly latest = new Map<string, Claims>()

  /** @throws what is wrong with a key */
  constructor(loaded: Loaded) {
    this.made = madeFrom(loaded)
  }

  /** @throws AuthenticationError, KeysUnavailableError */
  async verify(token: string): Promise<JwtPayload> {
    const { verify } = this.made
    const claims = await verify(token)
    this.tokens.set(claims, { token, verify })
    this.remember(claims)
    return claims
  }

  /**
   * Whether a user may have a topic. Where the keys have changed since the user came, the token is
   * checked once more.
   *
   * @throws AuthenticationError if it does not hold any more: the stream ends.
   */
  allows(principal: unknown, topic: string): boolean | Promise<boolean> {
    const claims = typeof principal === 'object' && principal !== null ? principal : undefined
    const { verify, maySubscribe } = this.made
    const known = claims && this.tokens.get(claims)
    const decide = () => maySubscribe(claims as Claims | undefined, topic)
    if (known === undefined || known.verify === verify) return decide()
    return verify(known.token).then(() => {
      this.tokens.set(claims!, { token: known.token, verify })
      return decide()
    })
  }

  /** Whether an owner may have a topic, by the claims of the last token, or by the name alone. */
  allowsOwner(owner: string | undefined, topic: string): boolean {
    const claims = owner === undefined ? undefined : (this.latest.get(owner) ?? { sub: owner })
    return this.made.maySubscribe(claims, topic)
  }

  private remember(claims: JwtPayload): void {
    const sub = String(claims.sub)
    this.latest.delete(sub)
    this.latest.set(sub, claims)
    if (this.latest.size <= MOST_REMEMBERED) return
    const [oldest] = this.latest.keys()
    this.latest.delete(oldest!)
  }

  /** What `become` takes, made of another configuration. @throws what is wrong with it */
  prepared(loaded: Loaded): Made {
    const made = madeFrom(loaded)
    // Keys that stay are not fetched again, and no token is checked again.
    return made.keys === this.made.keys ? { ...made, verify: this.made.verify } : made
  }

  become(made: Made): void {
    this.made = made
  }
}

function madeFrom({ config, folder }: Loaded): Made {
  const { auth, topics } = config
  const files = (auth?.issuers ?? []).map(({ jwks }) =>
    jwks === undefined || /^https?:/.test(jwks) ? '' : readFileSync(resolve(folder, jwks), 'utf8'),
  )
  return {
    maySubscribe: subscribeRules(topics),
    verify: tokenVerifier(auth, folder),
    keys: JSON.stringify([auth?.issuers, files]),
  }
}
