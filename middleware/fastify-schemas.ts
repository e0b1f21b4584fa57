/** The bodies of the routes, as JSON Schema: for OpenAPI documents, which plugins make of them. */
const topics = { type: 'array', items: { type: 'string' } }

export const SUBSCRIPTIONS_BODY = {
  type: 'object',
  description: "Changes a client's topics: first it removes, then it adds.",
  required: ['client_id'],
  properties: {
    client_id: { type: 'string', description: 'The id of the client to change.' },
    add: {
      type: 'array',
      description: 'Topics to subscribe to, each by its name or after a position.',
      items: {
        anyOf: [
          { type: 'string' },
          {
            type: 'object',
            required: ['topic'],
            properties: { topic: { type: 'string' }, after: { type: 'string' } },
          },
        ],
      },
    },
    remove: { ...topics, description: 'Topics to unsubscribe from.' },
  },
}

/** `POST /clients` needs no body. */
export const CLIENTS_BODY = { type: ['object', 'null'], properties: {} }

/** What every refused request gets. */
export const ERROR = {
  type: 'object',
  required: ['error'],
  properties: {
    error: {
      type: 'object',
      required: ['code', 'message'],
      properties: {
        code: { type: 'string', description: 'Names the cause: ERR_UNIFROST_… It is stable.' },
        message: { type: 'string', description: 'What was wrong, and what to do.' },
      },
    },
  },
}
