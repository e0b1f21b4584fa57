import { connectError, hideSecrets, reasonOf, shownAddress } from 'unifrost/driver-kit'

const said = (cause: unknown, hints = {}) => connectError('Fake', 'host:1', cause, hints).message

test('each kind of failure says what it was, in the broker’s words, and what to do', () => {
  expect(said(new Error('connect ECONNREFUSED'))).toBe(
    'Fake could not be reached at host:1 (connect ECONNREFUSED). Start it, or correct the address.',
  )
  expect(said(new Error('password authentication failed'))).toBe(
    'Fake at host:1 refused the credentials (password authentication failed). ' +
      'Check user and password.',
  )
  expect(said(new Error('self-signed certificate'))).toBe(
    'No TLS connection to Fake at host:1 (self-signed certificate). ' +
      'Check that both sides use TLS, and the certificates.',
  )
})

test('a broker’s own words and hints go before', () => {
  const hints = { refusal: /NOAUTH/, credentials: 'Give a user.' }
  expect(said(new Error('NOAUTH'), hints)).toContain(
    'refused the credentials (NOAUTH). Give a user.',
  )
})

test('the cause is kept, and its code is named once', () => {
  const cause = Object.assign(new Error('closed'), { code: 'ECONNRESET' })
  expect(connectError('Fake', 'host:1', cause).cause).toBe(cause)
  expect(reasonOf(cause)).toBe('closed, ECONNRESET')
  expect(reasonOf(Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' }))).toBe(
    'read ECONNRESET',
  )
  expect(reasonOf(new AggregateError([new Error('connect ECONNREFUSED ::1:1')]))).toBe(
    'connect ECONNREFUSED ::1:1',
  )
  expect(reasonOf('text')).toBe('text')
  expect(reasonOf(undefined)).toBe('undefined')
})

test.each([
  ['fake://ann:s3cret@host:1', 'fake://…@host:1'],
  ['no route to fake://ann:s3(,c"ret@host:1, sorry', 'no route to fake://…@host:1, sorry'],
  ['ann:s3cret@host:1', '…@host:1'],
  ["Cannot find module '@scope/name'", "Cannot find module '@scope/name'"],
  ['host:1', 'host:1'],
])('%j is shown as %j', (text, shown) => {
  expect(hideSecrets(text)).toBe(shown)
})

test.each([
  ['fake://ann:s3 c/r@et@host:1', '"fake://…@host:1"'],
  ['ann:s3cret@host', '"…@host"'],
  ['host:1', '"host:1"'],
  [{ password: 's3cret' }, 'object'],
  [null, 'null'],
  [undefined, 'undefined'],
])('%j as an address is shown as %s', (got, shown) => {
  expect(shownAddress(got)).toBe(shown)
})

test('secrets are hidden wherever they stand', () => {
  const cause = new Error('getaddrinfo fake://ann:s3cret@host')
  expect(connectError('Fake', 'fake://ann:s3cret@host', cause).message).not.toContain('s3cret')
})
