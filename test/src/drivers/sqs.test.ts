import { sqsDriver } from '../../../src/drivers/sqs.js'
import type { AwsConfig, SqsDriverOptions } from '../../../src/drivers/sqs.js'
import { OptionsError, TopicNameError } from '../../../src/errors.js'
import { recordingSink } from '../../../src/testing/index.js'

describe('sqsDriver', () => {
  test.each<[SqsDriverOptions, RegExp]>([
    [{ pollTime: 500 }, /pollTime takes milliseconds, 1,000 to 20,000/],
    [{ prefix: 'a b' }, /prefix takes up to 38 .*got "a b"/],
    [{ probe: 1 } as object, /probe takes true or false; it got 1/],
    [{ wait: 1 } as object, /no option wait. It has .*pollTime/],
    [{ sources: ['x'] }, /sources and route are given together/],
  ])('refuses options that do not fit: %j', (options, message) => {
    expect(() => sqsDriver('eu-west-1', options)).toThrow(OptionsError)
    expect(() => sqsDriver('eu-west-1', options)).toThrow(message)
  })

  test.each([null, 7, { sqs: {} }])('refuses %j as clients', (target) => {
    expect(() => sqsDriver(target as AwsConfig)).toThrow(/takes \{ sqs, sns \}/)
  })

  test.each([
    '',
    'orders',
    'arn:aws:sqs:eu-west-1:123456789012:queue',
    'arn:aws:sns:eu-west-1:123456789012:a b',
    'arn:aws:sns:eu-west-1:123456789012:a.b',
    `arn:aws:sns:eu-west-1:123456789012:${'x'.repeat(257)}`,
    'https://sqs.eu-west-1.amazonaws.com/123456789012/a b',
  ])('refuses %j before AWS is asked, and says what it takes', async (name) => {
    const driver = sqsDriver('eu-west-1')
    const subscribing = driver.subscribe(name, recordingSink())
    await expect(subscribing).rejects.toThrow(TopicNameError)
    await expect(driver.subscribe(name, recordingSink())).rejects.toThrow(/a topic's ARN/)
    await driver.close()
  })
})
