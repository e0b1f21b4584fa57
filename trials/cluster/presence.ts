import type { Trial } from '../kit/row.js'
import { until } from '../../test/support/until.js'
import type { Fleet } from './fleet.js'

/** Every server counts the clients of all, and they agree with the clients themselves. */
export async function mustAgree(fleet: Fleet, trial: Trial): Promise<void> {
  const topic = fleet.topics[0]!
  const due = {
    topic: fleet.clients.filter(({ settings }) => settings.topics.includes(topic)).length,
    clients: fleet.clients.length,
  }
  let counted = ''
  const agree = async () => {
    const asked = fleet.servers.map((_, index) =>
      fleet.ask(index, { do: 'presence', topic }, 3_000),
    )
    const answers = await Promise.all(asked)
    counted = answers.map((it) => `${it?.presence?.topic}/${it?.presence?.clients}`).join(', ')
    return answers.every(
      (it) => it?.presence?.topic === due.topic && it.presence.clients === due.clients,
    )
  }
  await until('the servers to agree', agree, 5_000).catch(() => {
    const words = `the servers counted ${counted} clients of a topic and of all`
    trial.must(false, `${words}; there were ${due.topic}/${due.clients}`)
  })
}
