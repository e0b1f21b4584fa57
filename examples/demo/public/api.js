/** An answer other than 2xx. */
export class RequestError extends Error {
  constructor(status, answer) {
    super(answer.error?.message ?? `The server answered ${status}.`)
    this.status = status
    this.answer = answer
  }
}

export async function post(path, body = {}) {
  const response = await fetch(path, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
  })
  const answer = await response.json().catch(() => ({}))
  if (response.ok) return answer
  throw new RequestError(response.status, answer)
}

/** @returns which topics the client has now, and which it was refused. */
export async function changeTopics(clientId, change) {
  try {
    return await post('update_subscriptions', { client_id: clientId, ...change })
  } catch (error) {
    // When all are refused, the status says why; the answer says which, as always.
    if (error.answer?.refused) return error.answer
    throw error
  }
}
