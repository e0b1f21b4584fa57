import { Attachment } from 'unifrost/driver-kit'

let told: string[]
let attachment: Attachment<[string]>

beforeEach(() => {
  told = []
  attachment = new Attachment({
    message: (payload) => told.push(payload),
    gap: (reason) => told.push(`gap: ${reason}`),
  })
})

test('the gap stands before the first message after it, though it is confirmed later', () => {
  attachment.restored()
  attachment.message('1')
  attachment.missed('cable')
  attachment.message('3')
  attachment.restored()
  attachment.message('4')
  expect(told).toEqual(['1', 'gap: cable', '3', '4'])
})

test('the gap is told when the broker confirms, without a message', () => {
  attachment.restored()
  attachment.missed('cable')
  expect(told).toEqual([])
  attachment.restored()
  expect(told).toEqual(['gap: cable'])
})

test('of several breaks before that, the last is told, once', () => {
  attachment.restored()
  attachment.missed('cable')
  attachment.missed('restart')
  attachment.message('1')
  expect(told).toEqual(['gap: restart', '1'])
})

test('a break before anything was confirmed or delivered is no gap', () => {
  attachment.missed('cable')
  expect(attachment.isLive).toBe(false)
  attachment.restored()
  attachment.message('1')
  expect(told).toEqual(['1'])
})

test('a message that comes before the first confirmation counts as one', () => {
  attachment.message('1')
  expect(attachment.isLive).toBe(true)
  attachment.missed('cable')
  attachment.restored()
  expect(told).toEqual(['1', 'gap: cable'])
})
