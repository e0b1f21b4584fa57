import { until } from '../../test/support/until.js'
import type { Launch } from './child.js'
import { Child } from './child.js'
import type { CrowdCommand, CrowdReport, CrowdSettings } from './crowd-messages.js'

/** How long anything may take to come about, in milliseconds. */
const PATIENCE = 120_000

/** The browsers of a run that measures: many streams, in a process of their own. */
export class Crowd {
  private constructor(private readonly child: Child<CrowdCommand, CrowdReport>) {}

  static async start(settings: CrowdSettings, launch: Launch = {}): Promise<Crowd> {
    const script = new URL('crowd-program.ts', import.meta.url)
    return new Crowd(await Child.start<CrowdCommand, CrowdReport>(script, settings, launch))
  }

  /** Does it, and reports what there is right after. */
  async tell(command: CrowdCommand): Promise<CrowdReport> {
    return this.child.mustAsk(command)
  }

  /** Everything since this was last asked. */
  async take(): Promise<CrowdReport> {
    return this.tell({ do: 'take' })
  }

  /** Waits until so many streams have had their first message. */
  async allGreeted(clients: number): Promise<void> {
    await this.comesTo(`${clients} first messages`, ({ greeted }) => greeted === clients)
  }

  /** Waits until there are so many messages since `take`, and takes them. */
  async allReceived(expected: number): Promise<CrowdReport> {
    await this.comesTo(`${expected} messages`, ({ received }) => received >= expected)
    return this.take()
  }

  async stop(): Promise<void> {
    await this.child.kill()
  }

  private async comesTo(what: string, enough: (report: CrowdReport) => boolean): Promise<void> {
    let last: CrowdReport | undefined
    const come = async () => enough((last = await this.tell({ do: 'report' })))
    await until(what, come, PATIENCE).catch((cause: unknown) => {
      throw new Error(`The crowd stayed at ${JSON.stringify(last)}.`, { cause })
    })
  }
}
