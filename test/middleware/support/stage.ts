import type { MemoryDriver } from 'unifrost'
import { memoryDriver, Streamer } from 'unifrost'
import { listen } from './apps.js'

/** A Streamer with its driver, and a server for the application that it is mounted in. */
export interface Stage {
  driver: MemoryDriver
  streamer: Streamer
  /** Serves an application. @returns its address */
  serve(app: unknown): Promise<string>
}

/** A new stage for each test of the file or of the `describe` around it. All of it ends with the test. */
export function stageForEach(): Stage {
  let running: Awaited<ReturnType<typeof listen>> | undefined
  const stage = {
    async serve(app: unknown) {
      running = await listen(app as Parameters<typeof listen>[0])
      return running.url
    },
  } as Stage
  beforeEach(() => {
    stage.driver = memoryDriver()
    stage.streamer = new Streamer(stage.driver)
  })
  afterEach(async () => {
    await stage.streamer.close()
    await running?.close()
    running = undefined
  })
  return stage
}
