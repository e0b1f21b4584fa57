// Several processes on one port that share an engine, each a whole server: what examples/cluster.ts
// does where REDIS_URL or NATS_URL names one.
import cluster from 'node:cluster'
import type { Worker } from 'node:cluster'
import { once } from 'node:events'
import { publishTicks } from './engine.js'

if (cluster.isPrimary) await lead()
else await import('./server.js')

async function lead(): Promise<void> {
  const stopTicks = await publishTicks()
  const stopping = new Set<Worker>()
  let ending = false
  const start = async (index: number) => {
    const worker = cluster.fork({ NAME: `s${index + 1}` })
    // A process that dies is replaced; its clients have reconnected to the others.
    worker.on('exit', (code, signal) => {
      if (stopping.delete(worker) || ending) return
      console.error(`A server ended by ${signal ?? code}.`)
      setTimeout(() => (workers[index] = start(index)), 1_000)
    })
    await once(worker, 'listening')
    return worker
  }
  const stop = async (worker: Worker) => {
    stopping.add(worker)
    worker.process.kill('SIGTERM')
    if (!worker.isDead()) await once(worker, 'exit')
  }
  const workers: Promise<Worker>[] = []
  for (let index = 0; index < Number(process.env.SERVERS ?? 3); index++) {
    workers.push(start(index))
  }

  // A further SIGHUP waits for its turn: two at once would start a server twice.
  let replacing = Promise.resolve()
  const replaceAll = async () => {
    for (const [index, worker] of workers.entries()) {
      const old = await worker
      if (ending) return
      workers[index] = start(index)
      await workers[index]
      await stop(old)
    }
  }
  process.on('SIGHUP', () => (replacing = replacing.then(replaceAll)))
  process.once('SIGTERM', async () => {
    ending = true
    await replacing
    await Promise.all(workers.map(async (worker) => stop(await worker)))
    await stopTicks()
  })
}
