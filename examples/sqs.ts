// Shows messages of SNS topics in the browser.
//
//   FAUXQS_PORT=4566 npx fauxqs &      (for AWS itself, leave AWS_ENDPOINT out)
//   AWS_ENDPOINT=http://127.0.0.1:4566 AWS_REGION=us-east-1 \
//     AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test npx tsx examples/sqs.ts
//   curl -N 'localhost:3000/events?topic=prices&topic=news'
import { CreateTopicCommand, PublishCommand, SNSClient } from '@aws-sdk/client-sns'
import { SQSClient } from '@aws-sdk/client-sqs'
import express from 'express'
import { Streamer } from 'unifrost'
import { sqsDriver } from 'unifrost/drivers/sqs'
import { autoClient, unifrostExpress } from 'unifrost/express'

const endpoint = process.env.AWS_ENDPOINT
const config = endpoint ? { endpoint } : {}
const [sqs, sns] = [new SQSClient(config), new SNSClient(config)]

// For a topic that exists already, this returns its ARN.
const topics = ['prices', 'news']
const arns = new Map<string, string>()
for (const topic of topics) {
  const { TopicArn } = await sns.send(new CreateTopicCommand({ Name: `example-${topic}` }))
  arns.set(topic, TopicArn!)
}

const driver = sqsDriver({ sqs, sns }, { address: (topic) => arns.get(topic)! })
const streamer = new Streamer(driver)
const app = express()

app.use(
  '/events',
  autoClient(streamer, { authorize: (_principal, topic) => arns.has(topic) }),
  unifrostExpress(streamer),
)

const server = app.listen(Number(process.env.PORT ?? 3000), 'localhost', () => {
  const { port } = server.address() as { port: number }
  console.log(`Listening on http://localhost:${port}`)
})
let count = 0
async function publish() {
  count++
  for (const [topic, TopicArn] of arns) {
    await sns.send(new PublishCommand({ TopicArn, Message: `${topic} ${count}` }))
  }
}
let publishing: Promise<void> = Promise.resolve()
const timer = setInterval(() => (publishing = publish()), 1_000)

process.once('SIGTERM', async () => {
  clearInterval(timer)
  await streamer.shutdown(server)
  await publishing
  sqs.destroy()
  sns.destroy()
})
