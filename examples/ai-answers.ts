// A model's answer that survives a reload: start it, stream it to any number of pages, stop it.
//
//   npx tsx examples/ai-answers.ts
//   curl -X POST localhost:3000/chat/7 -H 'content-type: application/json' -d '{"prompt":"Hello"}'
//   curl -N localhost:3000/chat/7/stream
//
// The model is a stand-in from the AI SDK's test helpers, so it needs no key and no network. Put yours in
// its place, such as `openai('gpt-5')`.
import { simulateReadableStream, streamText } from 'ai'
import { MockLanguageModelV3 } from 'ai/test'
import express from 'express'
import { memoryDriver, Streamer } from 'unifrost'
import { runs } from 'unifrost/runs'

/** Says a sentence, a word each 50 milliseconds. */
const model = new MockLanguageModelV3({
  doStream: () => {
    const words = 'The answer goes on when the page is gone, and any page can read it.'.split(' ')
    const usage = {
      inputTokens: { total: 1, noCache: 1, cacheRead: 0, cacheWrite: 0 },
      outputTokens: { total: words.length, text: words.length, reasoning: 0 },
    }
    const finishReason = { unified: 'stop' as const, raw: 'stop' }
    const chunks = [
      { type: 'text-start' as const, id: '1' },
      ...words.map((word, n) => ({
        type: 'text-delta' as const,
        id: '1',
        delta: n === 0 ? word : ` ${word}`,
      })),
      { type: 'text-end' as const, id: '1' },
      { type: 'finish' as const, finishReason, usage },
    ]
    return Promise.resolve({ stream: simulateReadableStream({ chunks, chunkDelayInMs: 50 }) })
  },
})

const streamer = new Streamer(memoryDriver())
const answers = runs(streamer, { prefix: 'answers.', format: 'ai-sdk' })
const app = express().use(express.json())

app.post('/chat/:id', async (request, response) => {
  const { prompt = 'Hello' } = (request.body ?? {}) as { prompt?: string }
  const run = await answers.start(request.params.id, async ({ append, signal }) => {
    const result = streamText({ model, prompt, abortSignal: signal })
    for await (const part of result.toUIMessageStream()) append(part)
  })
  response.status(202).json({ run: run.id, started: run.started })
})
app.get(
  '/chat/:id/stream',
  answers.express((request) => request.params.id),
)
app.post('/chat/:id/stop', async (request, response) => {
  response.json(await answers.stop(request.params.id))
})
app.get('/', (_request, response) => {
  response.send(`<!doctype html>
<meta charset="utf-8">
<title>AI answers</title>
<button id="ask">Ask</button> <button id="stop">Stop</button>
<p><output id="answer"></output></p>
<script>
  const answer = document.getElementById('answer')
  let source
  // A page that is reloaded has the whole answer again, and what is still to come.
  function read() {
    source?.close()
    answer.textContent = ''
    source = new EventSource('/chat/7/stream')
    source.onmessage = ({ data }) => {
      if (data === '[DONE]') return source.close()
      const part = JSON.parse(data)
      if (part.type === 'text-delta') answer.textContent += part.delta
    }
  }
  const post = (path) => fetch('/chat/7' + path, { method: 'POST' })
  document.getElementById('ask').onclick = () => post('').then(read)
  document.getElementById('stop').onclick = () => post('/stop')
  read()
</script>`)
})

const server = app.listen(Number(process.env.PORT ?? 3000), 'localhost', () => {
  const { port } = server.address() as { port: number }
  console.log(`Listening on http://localhost:${port}`)
})

process.once('SIGTERM', () => void streamer.shutdown(server))
