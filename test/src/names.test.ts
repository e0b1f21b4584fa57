import { ClientIdError, TopicNameError } from '../../src/errors.js'
import { checkClientId, checkTopicName } from '../../src/service/names.js'

test.each(['a', 'prices/eur', ' spaced ', 'Message', 'ünï👩‍👩‍👧', 'a:b', 'x'.repeat(1_024), '\t', '0'])(
  '%j can be a topic',
  (name) => expect(() => checkTopicName(name, 1_024)).not.toThrow(),
)

test.each([
  ['', 'at least one character'],
  ['message', 'EventSource'],
  ['open', 'EventSource'],
  ['error', 'EventSource'],
  ['a\rb', 'CR, LF or NUL'],
  ['a\nb', 'CR, LF or NUL'],
  ['a\0', 'CR, LF or NUL'],
  ['x'.repeat(1_025), 'at most 1024 bytes in UTF-8 (maxTopicLength); this has 1025'],
  ['é'.repeat(513), 'this has 1026'],
  ['\ud800', 'surrogate'],
  [undefined, 'this is undefined'],
  [null, 'this is null'],
  [7, 'this is number'],
  [['a'], 'this is an array'],
  [{}, 'this is an object'],
])('%j can not be a topic: %s', (name, why) => {
  expect(() => checkTopicName(name, 1_024)).toThrow(TopicNameError)
  expect(() => checkTopicName(name, 1_024)).toThrow(why)
})

test.each(['a', 'user-42', 'x'.repeat(256), 'é', '%20', ' '])('%j can be an id', (id) =>
  expect(() => checkClientId(id)).not.toThrow(),
)

test.each(['', 'x'.repeat(257), 'a\nb', '\x7f', '\ud800', 7, null, undefined, ['a']])(
  '%j can not be an id',
  (id) => expect(() => checkClientId(id)).toThrow(ClientIdError),
)
