import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { environmentManager } from '@tanstack/vue-query'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { effectScope, nextTick, ref, type EffectScope } from 'vue'
import { ApiError, toApiError } from '@/api/client'
import { change, get, isImmutable, queryClient, remove, shouldRetry, useApiQuery, type ApiQuery, type QueryResult } from '@/api/queries'

const TIMEOUT_MS = 60_000 // for a busy computer
vi.setConfig({ testTimeout: TIMEOUT_MS })
environmentManager.setIsServer(() => false) // Node has no window, but these tests are about the browser
const until = (condition: () => unknown): Promise<unknown> => vi.waitUntil(condition, { timeout: TIMEOUT_MS })

let server: Server
let address: string
let respond: (request: IncomingMessage, response: ServerResponse) => void
const requested: string[] = []
let scope: EffectScope

beforeEach(async () => {
  requested.length = 0
  respond = (request, response) => response.end(JSON.stringify(request.url))
  server = createServer((request, response) => {
    requested.push(request.url ?? '')
    respond(request, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  scope = effectScope()
})
afterEach(() => {
  scope.stop()
  queryClient.clear()
  server.closeAllConnections()
  server.close()
})

/** A query of the test's own server; its key is as in the app. */
function model(name: string): ApiQuery<string> {
  async function queryFn({ signal }: { signal: AbortSignal }): Promise<string> {
    const response = await fetch(`${address}/${name}`, { signal })
    if (!response.ok) throw toApiError(response.status, await response.json())
    return (await response.json()) as string
  }
  return { ...get('/api/v1/models/{ref}', { path: { ref: name } }), queryFn } as unknown as ApiQuery<string>
}
const use = (...parameters: Parameters<typeof useApiQuery<string>>): QueryResult<string> =>
  scope.run(() => useApiQuery<string>(...parameters)) as QueryResult<string>
const failWith = (status: number): void => {
  respond = (_, response) => response.writeHead(status).end(JSON.stringify({ error: { code: 'x', message: `status ${status}` } }))
}

it('takes the key of a query from the path and the parameters', () => {
  expect(get('/api/v1/models').queryKey).toEqual(['/api/v1/models', {}])
  expect(get('/api/v1/jobs', { query: { limit: 5 } }).queryKey).toEqual(['/api/v1/jobs', { query: { limit: 5 } }])
})

it('fetches, and shows the previous data until those of a new query arrive', async () => {
  const name = ref('first')
  const result = use(() => model(name.value))
  expect([result.data, result.isLoading]).toEqual([null, true])
  await until(() => result.data === '/first')
  expect(result.isLoading).toBe(false)
  name.value = 'second'
  await nextTick()
  expect([result.data, result.isFetching]).toEqual(['/first', true])
  await until(() => result.data === '/second')
})

it('does not fetch as long as there is no query', async () => {
  const name = ref('')
  const result = use(() => (name.value ? model(name.value) : null))
  await nextTick()
  expect([result.data, result.isLoading, requested]).toEqual([null, false, []])
  name.value = 'x'
  await until(() => result.data === '/x')
  name.value = ''
  await nextTick()
  expect(result.data).toBeNull()
})

it('aborts the request when the screen is left', async () => {
  let isAborted = false
  respond = (_, response) => response.on('close', () => (isAborted = true))
  use(() => model('slow'))
  await until(() => requested.length === 1)
  scope.stop()
  await until(() => isAborted)
})

it('shows cached data at once on the next screen, and fetches them again', async () => {
  const first = use(() => model('x'))
  await until(() => first.data !== null)
  scope.stop()
  scope = effectScope()
  respond = (_, response) => response.end('"new"')
  const second = use(() => model('x'))
  expect([second.data, second.isLoading]).toEqual(['/x', false])
  await until(() => second.data === 'new')
})

it('hides the cached copy of a resource that was deleted', async () => {
  const result = use(() => model('x'))
  await until(() => result.data !== null)
  failWith(404)
  await result.reload()
  expect([result.data, (result.error as ApiError).status]).toEqual([null, 404])
  expect(requested).toHaveLength(2)
})

it('polls only while the data require it', async () => {
  respond = (_, response) => response.end(requested.length < 3 ? '"running"' : '"finished"')
  const result = use(() => model('x'), { poll: (state) => state === 'running' && 20 })
  await until(() => result.data === 'finished')
  await new Promise((resolve) => setTimeout(resolve, 200))
  expect(requested).toHaveLength(3)
})

it('fetches what is shown again after a change, also if that failed', async () => {
  const result = use(() => model('x'))
  await until(() => result.data !== null)
  await change(Promise.resolve({ data: 1, response: new Response() }))
  expect(requested).toHaveLength(2)
  const failed = Promise.resolve({ error: {}, response: new Response(null, { status: 409 }) })
  await expect(change(failed)).rejects.toThrow(ApiError)
  expect(requested).toHaveLength(3)
})

it('drops what is not shown after a deletion, and leaves the closing screen alone', async () => {
  await queryClient.fetchQuery(model('list'))
  const result = use(() => model('x'))
  await until(() => result.data !== null)
  await remove(Promise.resolve({ data: 1, response: new Response() }))
  expect(requested).toHaveLength(2)
  expect(queryClient.getQueryData(model('list').queryKey)).toBeUndefined()
})

it('retries when the server does not respond or fails, but not an invalid request', async () => {
  const error = (status: number): ApiError => new ApiError(status, '', '')
  expect([0, 500, 503].map((status) => shouldRetry(0, error(status)))).toEqual([true, true, true])
  expect([400, 401, 403, 404, 409, 422, 429].some((status) => shouldRetry(0, error(status)))).toBe(false)
  expect([shouldRetry(2, error(503)), shouldRetry(0, new Error('a bug'))]).toEqual([false, false])
  failWith(422)
  const result = use(() => model('x'))
  await until(() => result.error)
  expect(requested).toHaveLength(1)
  failWith(503)
  const retried = use(() => model('y'), { retryDelay: 10 })
  await until(() => retried.error)
  expect(requested).toHaveLength(4)
})

it('never fetches the content of an exact version again', () => {
  expect(isImmutable(get('/api/v1/datasets/{ref}/items', { path: { ref: 'ships@3' } }).queryKey)).toBe(true)
  expect(isImmutable(get('/api/v1/datasets/{ref}/items', { path: { ref: 'ships' } }).queryKey)).toBe(false)
  expect(isImmutable(get('/api/v1/datasets/{ref}/items', { path: { ref: 'ships@latest' } }).queryKey)).toBe(false)
  expect(isImmutable(get('/api/v1/datasets/{ref}', { path: { ref: 'ships@3' } }).queryKey)).toBe(false)
  expect(isImmutable(get('/api/v1/models').queryKey)).toBe(false)
})
