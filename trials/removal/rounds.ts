import { inspect } from 'node:util'
import type { Directory, Removal } from '../../src/index.js'
import { bounded } from '../kit/bounded.js'
import { Random } from '../kit/random.js'
import type { Row } from '../kit/row.js'
import { Trial, whole } from '../kit/row.js'
import type { Site, Stream } from './site.js'
import { openStream, startSite } from './site.js'

/** How clients are ended in a round. */
const WAYS = ['remove', 'revoke', 'revoke, nobody refused', 'revoke a session'] as const
/** How soon after each other the things of a round happen, in milliseconds at most. */
const SPREAD = 8
/** How long a page may take to see that its stream has ended, in milliseconds. */
const SEEN = 3_000

interface Engine {
  readonly title: string
  directory(): Directory
}

/**
 * Rounds of a client that moves between three servers while it is removed, or its owner revoked, at
 * one of them. When that has resolved, no server has a client of the owner's, and no record is left.
 */
export async function removalRounds(engine: Engine, rounds: number, seed: number): Promise<Row> {
  const random = new Random(seed)
  const trial = new Trial()
  const sites: Site[] = []
  for (const name of ['a', 'b', 'c']) sites.push(await startSite(engine.directory(), name))
  let streams = 0
  let pending = 0
  try {
    for (let round = 0; round < rounds && trial.problems.length < 5; round++) {
      const seen = await oneRound(sites, round, random, (words) =>
        trial.must(false, `round ${round}, ${WAYS[round % WAYS.length]}: ${words}`),
      )
      streams += seen.streams
      pending += seen.pending
    }
  } finally {
    await Promise.all(sites.map((site) => site.stop()))
  }
  return {
    promise: 'When removeClient or revoke has resolved, there is no stream and no record',
    how: `${whole(rounds)} rounds on three servers, ${engine.title}, seed ${seed}`,
    figure: `${whole(streams)} streams, ${whole(pending)} answers with something pending`,
    problems: trial.problems,
  }
}

async function oneRound(
  sites: readonly Site[],
  round: number,
  random: Random,
  wrong: (words: string) => void,
): Promise<{ streams: number; pending: number }> {
  const way = WAYS[round % WAYS.length]!
  const owner = `owner-${round}`
  const session = `session-${round}`
  const { id } = await random.pick(sites).streamer.newClient({ owner })
  const asked: Promise<Stream>[] = []
  const ask = (query: Record<string, string>) => {
    asked.push(openStream(random.pick(sites).url, { ...query, owner, session }))
  }
  // A client that may come back at once, as nobody is refused, is not one that was left.
  const hasAutomatic = way === 'revoke' || way === 'revoke a session'
  if (hasAutomatic) ask({ auto: '' })
  ask({ id })
  await spread(random.between(0, SPREAD))
  for (let moves = random.between(1, 3); moves > 0; moves--) {
    ask({ id })
    if (hasAutomatic && random.next() < 0.3) ask({ auto: '' })
    await spread(random.between(0, SPREAD / 2))
  }
  const by = random.pick(sites).streamer
  const removal = await end(by, way, { id, owner, session }).catch((error: unknown) => {
    wrong(`it rejected: ${inspect(error)}`)
  })
  if (removal !== undefined && removal.pending.length === 0) {
    for (const { streamer } of sites) {
      // A log-in that was not to be ended keeps its client, without a stream.
      const client = streamer.getClient(id)
      if (client !== undefined && (way !== 'revoke a session' || client.connected)) {
        wrong('a server has the client')
      }
    }
    if (way !== 'revoke a session' && (await by.findClient(id))) wrong('its record is there')
    const { connected } = await by.clientsOfOwner(owner)
    if (connected > 0) wrong(`${connected} streams of the owner's are open`)
  }
  const streams = await Promise.all(asked)
  for (const { status, ended } of streams) {
    if (status === 200 && !(await bounded(ended, SEEN))) wrong('a page still has its stream')
  }
  for (const stream of streams) stream.cut()
  return { streams: streams.length, pending: removal?.pending.length === 0 ? 0 : 1 }
}

/** What happens next happens a little later. */
function spread(milliseconds: number): Promise<void> {
  return new Promise((next) => setTimeout(next, milliseconds))
}

function end(
  by: Site['streamer'],
  way: (typeof WAYS)[number],
  { id, owner, session }: { id: string; owner: string; session: string },
): Promise<Removal> {
  if (way === 'remove') return by.removeClient(id)
  if (way === 'revoke a session') return by.revoke({ session })
  return by.revoke(owner, way === 'revoke' ? {} : { for: 0 })
}
