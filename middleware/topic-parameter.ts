import type { AnyRequest } from '../src/index.js'
import { TopicNameError } from '../src/index.js'
import { queryOf } from '../src/for-middleware.js'

/** What frameworks and tools of other kinds write: `topics=`, `topic[]=`, `topic[0]=`, `Topic=`. */
const NEARLY = /^topics?(\[.*\])?$/i

/**
 * The topics that a request's address names, each once: `?topic=a&topic=b`.
 *
 * @throws TopicNameError for a parameter that looks like it. Its topics would be missing in silence.
 */
export function topicsInAddress(request: AnyRequest): string[] {
  const query = queryOf(request)
  const wrong = [...query.keys()].find((name) => name !== 'topic' && NEARLY.test(name))
  if (wrong !== undefined) {
    throw new TopicNameError(
      `The parameter is called topic, once for each topic: ?topic=a&topic=b. This request has ` +
        `${JSON.stringify(wrong)}.`,
    )
  }
  return [...new Set(query.getAll('topic'))]
}
