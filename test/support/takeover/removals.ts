import { turns } from '../stage.js'
import type { Run, Schedule, Step } from './explore.js'
import { play } from './explore.js'
import type { Server } from './world.js'
import { World } from './world.js'

/** How the clients are ended, and by how many servers they may be had. */
export interface Scenario {
  readonly how: 'revoke' | 'remove'
  readonly servers: 2 | 3
  /** How long who was revoked is refused. */
  readonly refusedFor?: number
}

/**
 * Runs the scenario by a schedule: the client comes to the first server, and to the second one,
 * where it is removed; then it asks every server again. Where its owner is revoked, it has an
 * automatic client at the first server and one at the last.
 */
export async function runRemoval(scenario: Scenario, schedule: Schedule): Promise<Run> {
  const world = await World.make(['a', 'b', 'c'].slice(0, scenario.servers), 'alice')
  const [first, second] = world.servers as [Server, Server]
  const last = world.servers.at(-1)!
  const wrong: string[] = []
  const isRevoked = scenario.how === 'revoke'
  let outcome = 'it never came'
  const script: Step[] = [{ name: 'the client comes to a', run: () => world.connect(first) }]
  if (isRevoked) {
    const run = () => world.connectAutomatic(first)
    script.push({ name: 'an automatic client comes to a', run })
  }
  script.push({ name: 'the client comes to b', run: () => world.connect(second) })
  if (isRevoked) {
    const run = () => world.connectAutomatic(last)
    script.push({ name: 'an automatic client comes to the last server', run })
  }
  script.push({
    name: `by b: ${scenario.how}`,
    run: () => {
      if (second.state === 'dead') return
      void world.end(second, scenario.how, scenario.refusedFor).then((removal) => {
        outcome = JSON.stringify(removal)
        if (typeof removal === 'string' || removal.pending.length > 0) return
        wrong.push(...left(world).map((what) => `${what} when it had resolved to ${outcome}.`))
      })
    },
  })
  for (const server of world.servers) {
    script.push({ name: `the client comes to ${server.name}`, run: () => world.connect(server) })
  }
  const { trace, choices } = await play(world, script, schedule)
  await world.settle()
  await turns()
  if (second.state !== 'dead' && !/NO_CLIENT/.test(outcome)) {
    wrong.push(...left(world).map((what) => `${what} at the end; it came to ${outcome}.`))
  }
  await world.close()
  return { trace, choices, wrong }
}

/** What there is of the owner's: streams at servers that run, and the client's record. */
function left(world: World): string[] {
  const streams = world.pages.filter(
    ({ page: { response }, server }) =>
      server.state === 'running' &&
      response.statusCode === 200 &&
      response.headersSent &&
      !response.writableEnded &&
      !response.destroyed,
  )
  const found = streams.map(({ server }) => `A stream at ${server.name} was open`)
  if (world.engine.live(world.id) !== undefined) found.push('The record was there')
  return found
}
