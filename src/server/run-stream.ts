import type { ServerResponse } from 'node:http'
import type { AnyRequest, AnyResponse } from '../index.js'
import { UnifrostError } from '../index.js'
import { errorBody } from './answers.js'
import type { HeldRun } from './run-desk.js'
import { appendAll, endedAs } from './run-desk.js'
import { ProducerGoneError } from './run-errors.js'
import type { PartReader } from './run-parts.js'

/**
 * Takes a run from the body of its producer's request. The answer begins at once, as lines of JSON: what
 * `start` says, `{"signal"}` when the run is to stop, and `{"end"}` behind the end of the body.
 */
export async function streamIn(
  held: HeldRun,
  reader: PartReader,
  said: object,
  request: AnyRequest,
  response: AnyResponse,
): Promise<void> {
  const outgoing = response as ServerResponse
  const tell = (line: object) => void outgoing.write(`${JSON.stringify(line)}\n`)
  const { signal } = held.run
  response.statusCode = 201
  response.setHeader('Content-Type', 'application/x-ndjson; charset=utf-8')
  response.setHeader('Cache-Control', 'no-store')
  response.setHeader('X-Accel-Buffering', 'no')
  tell(said)
  const aborted = () => tell({ signal: String(signal.reason) })
  signal.addEventListener('abort', aborted)
  if (signal.aborted) aborted()
  try {
    // A body that breaks off makes the loop throw.
    for await (const chunk of request) await appendAll(held, reader.read(chunk as Buffer))
    await appendAll(held, reader.end())
    held.finish()
    tell({ end: endedAs(held, 'done') })
    response.end()
  } catch (cause) {
    const error = cause instanceof UnifrostError ? cause : new ProducerGoneError()
    held.fail(error)
    tell({ error: errorBody(error), end: endedAs(held, 'failed') })
    // What comes of the body yet is read by nobody.
    response.end(() => request.destroy())
  } finally {
    signal.removeEventListener('abort', aborted)
  }
}
