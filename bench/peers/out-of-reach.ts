import type { Contender } from '../contenders.js'
import { askForModule } from './go.js'

/**
 * Peers that have a Go module which the Go proxy has not handed out so far. It is asked in each
 * run, so that it shows when that has changed.
 */
export const mercure = outOfReach('Mercure', 'github.com/dunglas/mercure')
export const goUnifrost = outOfReach('unifrost in Go', 'github.com/unifrost/unifrost')

function outOfReach(name: string, path: string): Contender {
  const prepare = async () => {
    const found = await askForModule(path)
    throw new Error(`the Go proxy has ${found} by now, and bench/peers/ has no server for it yet`)
  }
  return { name, what: path, approach: { protocol: 'sse', path: '/' }, prepare, start: never }
}

async function never(): Promise<never> {
  throw new Error('It was left out.')
}
