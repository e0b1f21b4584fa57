import { DefaultChatTransport, readUIMessageStream, simulateReadableStream, streamText } from 'ai'
import type { UIMessageChunk } from 'ai'
import { MockLanguageModelV3 } from 'ai/test'
import express from 'express'
import { memoryDriver, Streamer } from 'unifrost'
import { runs } from 'unifrost/runs'
import { Site } from './serving.js'

/** A model that says a text letter by letter. */
function modelSaying(text: string): MockLanguageModelV3 {
  const usage = {
    inputTokens: { total: 1, noCache: 1, cacheRead: 0, cacheWrite: 0 },
    outputTokens: { total: 1, text: 1, reasoning: 0 },
  }
  const chunks = [
    { type: 'text-start' as const, id: '1' },
    ...[...text].map((delta) => ({ type: 'text-delta' as const, id: '1', delta })),
    { type: 'text-end' as const, id: '1' },
    { type: 'finish' as const, finishReason: { unified: 'stop' as const, raw: 'stop' }, usage },
  ]
  return new MockLanguageModelV3({
    doStream: () =>
      Promise.resolve({ stream: simulateReadableStream({ chunks, chunkDelayInMs: 1 }) }),
  })
}

async function said(stream: ReadableStream<UIMessageChunk>): Promise<string> {
  let text = ''
  for await (const { parts } of readUIMessageStream({ stream })) {
    text = parts.map((part) => (part.type === 'text' ? part.text : '')).join('')
  }
  return text
}

test("the AI SDK's own transport reads the answer of its POST, resumes it, and is told of none", async () => {
  const streamer = new Streamer(memoryDriver())
  const answers = runs(streamer, { format: 'ai-sdk' })
  const app = express().use(express.json())
  const text = 'An answer that survives its reader.'
  app.post('/api/chat', (req, res, next) => {
    const { id } = req.body as { id: string }
    answers
      .start(id, async ({ append, signal }) => {
        const result = streamText({ model: modelSaying(text), prompt: 'x', abortSignal: signal })
        for await (const part of result.toUIMessageStream()) append(part)
      })
      .then((run) => answers.send(run, req, res))
      .catch(next)
  })
  app.get(
    '/api/chat/:id/stream',
    answers.express((req) => req.params.id),
  )
  const site = await Site.open(app)
  try {
    const transport = new DefaultChatTransport({ api: `${site.address}/api/chat` })
    expect(await transport.reconnectToStream({ chatId: 'c' })).toBeNull()
    const posted = await transport.sendMessages({
      chatId: 'c',
      messageId: undefined,
      messages: [],
      trigger: 'submit-message',
      abortSignal: undefined,
    })
    const resumed = await transport.reconnectToStream({ chatId: 'c' })
    expect(await Promise.all([said(posted), said(resumed!)])).toEqual([text, text])
  } finally {
    await streamer.close()
    await site.close()
  }
})
