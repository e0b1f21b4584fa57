import { turns } from '../stage.js'
import { TOPIC, World } from './world.js'

/** What may happen next; the first is what happens by itself. */
export interface Step {
  readonly name: string
  readonly run: () => Promise<void> | void
}

/** A schedule: at which step something else than the first happened, and what. */
export type Schedule = readonly { readonly at: number; readonly choice: number }[]

/** What a schedule came to. */
export interface Run {
  readonly trace: readonly string[]
  /** What could have happened at each step. */
  readonly choices: readonly (readonly string[])[]
  /** What is wrong at its end. */
  readonly wrong: readonly string[]
}

/** Runs the scenario by a schedule: the client comes to b, is given a topic, comes back to a. */
export async function run(schedule: Schedule): Promise<Run> {
  const world = await World.make()
  const [a, b] = world.servers as [World['servers'][0], World['servers'][0]]
  const script: Step[] = [
    { name: 'the client comes to a', run: () => world.connect(a) },
    { name: 'the client comes to b', run: () => world.connect(b) },
    { name: 'by a, it is subscribed', run: () => world.subscribe(a, 'more') },
    { name: 'the client comes back to a', run: () => world.connect(a) },
  ]
  const { trace, choices } = await play(world, script, schedule)
  const wrong = await judge(world)
  await world.close()
  return { trace, choices, wrong }
}

/** Lets everything happen, by a schedule. */
export async function play(
  world: World,
  script: Step[],
  schedule: Schedule,
): Promise<Pick<Run, 'trace' | 'choices'>> {
  const trace: string[] = []
  const choices: string[][] = []
  let faults = 0
  for (let at = 0; ; at++) {
    const steps: Step[] = world.ready().map((call) => ({
      name: `${call.server.slice(0, 1)}: ${call.verb}`,
      run: () => world.release(call),
    }))
    if (script.length > 0) {
      const next = script[0]!
      steps.push({ name: next.name, run: () => (script.shift(), next.run()) })
    }
    // At the end of everything, whoever sleeps wakes up.
    if (steps.length === 0 && world.servers.every(({ state }) => state !== 'paused')) break
    for (const server of world.servers) {
      if (server.state === 'paused') {
        steps.push({ name: `${server.name} wakes up`, run: () => world.wake(server) })
        const run = () => world.wake(server, 'lost')
        steps.push({ name: `${server.name} wakes up, and what it was asked is lost`, run })
      } else if (server.state === 'running' && faults === 0) {
        const fault = (name: string, break_: () => Promise<void> | void): Step => ({
          name: `${server.name} ${name}`,
          run: () => (faults++, break_()),
        })
        steps.push(fault('is killed', () => world.crash(server)))
        steps.push(fault('is stopped', () => world.pause(server)))
      }
    }
    const choice = schedule.find((deviation) => deviation.at === at)?.choice ?? 0
    const step = steps[choice] ?? steps[0]!
    choices.push(steps.map(({ name }) => name))
    trace.push(step.name)
    await step.run()
    await turns()
  }
  return { trace, choices }
}

/** What must hold once everything has come to rest, whatever happened before. */
async function judge(world: World): Promise<string[]> {
  const wrong: string[] = []
  await world.settle()
  const newest = world.pages.at(-1)!.page
  if (newest.got.includes('replaced:')) {
    wrong.push('The newest stream was told that another one has replaced it.')
  }
  // An EventSource whose stream has ended asks again, and the load balancer knows who is alive.
  const alive = world.servers.filter(({ state }) => state === 'running')
  for (let tries = 0; !isOpen(world) && tries < 3; tries++) {
    world.connect(alive[tries % alive.length]!)
    await world.settle()
  }
  if (!isOpen(world)) {
    const { statusCode } = world.pages.at(-1)!.page.response
    return [...wrong, `The client is lost: it gets ${statusCode}.`]
  }
  const before = world.pages.map(({ page }) => page.got.length)
  world.publish('after all')
  await turns()
  const got = world.pages.map(({ page }, i) => page.got.slice(before[i]))
  if (got.slice(0, -1).some((messages) => messages.length > 0)) {
    wrong.push('A stream that is not the newest is served as well.')
  }
  if (got.at(-1)!.join() !== `${TOPIC}=after all`) {
    wrong.push(`The newest stream got ${JSON.stringify(got.at(-1))} instead of the message.`)
  }
  const holders = alive.filter(({ streamer }) => streamer.getClient(world.id)?.connected)
  if (holders.length !== 1) wrong.push(`${holders.length} servers have the client.`)
  const topics = holders[0]?.streamer.getClient(world.id)?.topics ?? []
  for (const topic of world.subscribed) {
    if (!topics.includes(topic)) wrong.push(`The subscription to ${topic} is lost.`)
  }
  return wrong
}

function isOpen(world: World): boolean {
  const { response } = world.pages.at(-1)!.page
  return (
    response.statusCode === 200 &&
    response.headersSent &&
    !response.writableEnded &&
    !response.destroyed
  )
}

/**
 * Runs every schedule in which as many steps are out of turn as there are patterns, or fewer, each
 * one such as its pattern names.
 *
 * @returns how many there were.
 */
export async function explore(
  run: (schedule: Schedule) => Promise<Run>,
  patterns: readonly RegExp[],
  found: (schedule: Schedule, run: Run) => void,
): Promise<number> {
  let count = 0
  const visit = async (schedule: Schedule): Promise<void> => {
    const outcome = await run(schedule)
    count++
    found(schedule, outcome)
    const pattern = patterns[schedule.length]
    if (pattern === undefined) return
    const first = (schedule.at(-1)?.at ?? -1) + 1
    for (let at = first; at < outcome.choices.length; at++) {
      for (const [choice, name] of outcome.choices[at]!.entries()) {
        if (choice > 0 && pattern.test(name)) await visit([...schedule, { at, choice }])
      }
    }
  }
  await visit([])
  return count
}
