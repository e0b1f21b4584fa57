/** A program of the trials, from the inside: what it is told, and how it answers. See child.ts. */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** The answer to what a program was asked, or why there is none. */
export type Reply<Answer> =
  { id: number; answer: Answer; error?: never } | { id: number; error: string }

/** What a program says to its parent. */
export type FromChild<Answer> = { ready: { port: number } } | ({ ready?: never } & Reply<Answer>)

/** What the parent gives at the start. */
export function configFromParent<Config>(): Config {
  return JSON.parse(process.argv[2] ?? '{}') as Config
}

/** Answers what the parent asks. Whatever `obey` throws is an answer too. */
export function answerParent<Ask, Answer extends object>(
  obey: (ask: Ask) => Promise<Answer> | Answer,
): void {
  process.on('message', ({ id, ask }: { id: number; ask: Ask }) => {
    const say = (message: FromChild<Answer>) => process.send?.(message)
    void (async () => obey(ask))().then(
      (answer) => say({ id, answer }),
      (error: unknown) => say({ id, error: String(error) }),
    )
  })
  // No program outlives its parent, however that one ended.
  process.on('disconnect', exit)
}

const exit = () => process.exit()

/** Says that from now on it can be asked. @param port Where it listens, if it is a server. */
export function readyForParent(port = 0): void {
  process.send?.({ ready: { port } } satisfies FromChild<never>)
}

/** Lets go of the parent, and ends only when nothing else keeps the process: the parent waits for that. */
export function leaveParent(): void {
  process.off('disconnect', exit)
  process.disconnect()
}

setFlagsFromString('--expose-gc')
/** Collects garbage: what waits to be collected is nobody's memory. */
export const collectGarbage = runInNewContext('gc') as () => void
