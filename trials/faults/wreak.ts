import { bounded } from '../kit/bounded.js'
import type { CheckingClient } from '../kit/checking-client.js'
import type { BrokerFault, ClientFault, Fault, ServerFault } from './schedule.js'
import type { SingleServerStage } from './single-server-stage.js'

/** Does the faults of a schedule to a stage, each at its time. */
export class Wreaker {
  /** How often each fault was done. */
  readonly done = new Map<string, number>()
  private readonly beginnings: NodeJS.Timeout[] = []
  /** What ends the faults that are there now. */
  private readonly endings = new Map<NodeJS.Timeout, () => void>()
  private readonly running = new Set<Promise<void>>()
  /** Restarts of one server, one after the other. */
  private serial: Promise<void> = Promise.resolve()

  constructor(private readonly stage: SingleServerStage) {}

  begin(faults: readonly Fault[]): void {
    for (const fault of faults) {
      this.beginnings.push(setTimeout(() => this.wreak(fault), fault.at))
    }
  }

  /** Begins nothing more, ends what there is, and waits for that. */
  async end(): Promise<void> {
    for (const timer of this.beginnings) clearTimeout(timer)
    for (const [timer, act] of [...this.endings]) {
      clearTimeout(timer)
      act()
    }
    this.endings.clear()
    await bounded(Promise.all([...this.running, this.serial]), 60_000)
  }

  private wreak({ fault, clients, lasts }: Fault): void {
    this.done.set(fault, (this.done.get(fault) ?? 0) + Math.max(1, clients.length))
    if (clients.length > 0) {
      for (const index of clients) {
        const client = this.stage.clients[index]
        if (client !== undefined) this.harmClient(client, fault as ClientFault, lasts)
      }
      return
    }
    if (fault.startsWith('server') || fault === 'cut all')
      this.harmServer(fault as ServerFault, lasts)
    else this.run(this.harmBroker(fault as BrokerFault, lasts))
  }

  private harmClient(client: CheckingClient, fault: ClientFault, lasts: number): void {
    const pair = this.stage.proxy.of(client.localPort)
    if (pair === undefined) return
    switch (fault) {
      case 'cut':
        return pair.cut()
      case 'freeze':
        pair.down.freeze(true)
        pair.up.freeze(true)
        break
      case 'delay':
        pair.down.delay = lasts / 8
        pair.up.delay = lasts / 8
        break
      case 'throttle':
        pair.down.rate = 1_000
        break
      case 'split':
        // A whole event and more, each byte a packet of its own.
        pair.down.split = 1_000
        return
      case 'stop reading':
        client.read(false)
        return void this.after(lasts, () => client.read(true))
      case 'vanish':
        pair.vanish()
        return void this.after(lasts, () => {
          if (this.stage.proxy.of(client.localPort) === pair) client.comeBack()
        })
      case 'leave unnoticed':
        // The server goes on writing to a peer that is elsewhere already.
        pair.vanish()
        return client.comeBack()
    }
    this.after(lasts, () => pair.heal())
  }

  private harmServer(fault: ServerFault, lasts: number): void {
    const { stage } = this
    if (fault === 'cut all') stage.proxy.cutAll()
    else if (fault === 'server kill') this.serial = this.serial.then(() => stage.crash())
    else {
      const block = () => stage.server.ask({ do: 'block', milliseconds: lasts })
      this.serial = this.serial.then(block).then(() => undefined)
    }
  }

  private async harmBroker(fault: BrokerFault, lasts: number): Promise<void> {
    const { link, process } = this.stage.settings.broker
    if (link === undefined || process === undefined) return
    if (fault === 'link cut') link.cut()
    else if (fault === 'link stall') link.stall()
    else if (fault === 'broker kill') await process.restart()
    else {
      await process.freeze()
      await new Promise<void>((resolve) => {
        this.after(lasts, () => {
          process.thaw()
          resolve()
        })
      })
    }
  }

  private run(promise: Promise<void>): void {
    const running = promise.finally(() => this.running.delete(running))
    this.running.add(running)
  }

  private after(milliseconds: number, act: () => void): void {
    const timer = setTimeout(() => {
      this.endings.delete(timer)
      act()
    }, milliseconds)
    this.endings.set(timer, act)
  }
}
