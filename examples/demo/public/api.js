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

/** @returns the client's topics, and the refused ones. */
export async function changeTopics(clientId, change) {
  try {
    return await post('update_subscriptions', { client_id: clientId, ...change })
  } catch (error) {
    // If all topics are refused, the status is an error, but the body still lists them.
    if (error.answer?.refused) return error.answer
    throw error
  }
}
