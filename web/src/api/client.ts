/** The HTTP client, typed by the server's OpenAPI schema, with one class of errors. */
import createClient from 'openapi-fetch'
import { DEFAULT_PROJECT, projectApiPath, projectFromPath } from '@/composables/projectUrls'
import type { components, paths } from './schema'

export type Schemas = components['schemas']
export type Session = Schemas['SessionResponse']
export type Project = Schemas['ProjectResponse']
export type Dataset = Schemas['DatasetResponse']
export type Version = Schemas['VersionResponse']
export type Item = Schemas['ItemResponse']
export type Job = Schemas['JobResponse']
export type Model = Schemas['ModelResponse']
export type Run = Schemas['RunResponse']
export type Webhook = Schemas['WebhookResponse']
export type Delivery = Schemas['DeliveryResponse']
export type EventName = Webhook['events'][number]

export const currentProject = typeof location === 'undefined' ? DEFAULT_PROJECT : projectFromPath(location.pathname)

/** An error response: a stable code, a message, and what to do about it. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly hint: string = '',
    readonly fields: Record<string, string> = {},
  ) {
    super(message)
  }
}

let csrfToken = ''
let handleSignedOut = () => {}

export function setCsrfToken(token: string | null | undefined): void {
  csrfToken = token ?? ''
}

export function csrfHeaders(): Record<string, string> {
  return csrfToken ? { 'X-CSRF-Token': csrfToken } : {}
}

/** Registers what happens when a request fails because the session has ended. */
export function onSignedOut(handler: () => void): void {
  handleSignedOut = handler
}

/** Handles the end of the session in another way, for a screen with unsaved work. Returns how to stop that. */
export function interceptSignedOut(handler: () => void): () => void {
  const previous = handleSignedOut
  handleSignedOut = handler
  return () => {
    if (handleSignedOut === handler) handleSignedOut = previous
  }
}

export const client = createClient<paths>({ baseUrl: '' })
client.use({
  async onRequest({ request }) {
    const url = new URL(request.url)
    url.pathname = projectApiPath(currentProject, url.pathname)
    const projectRequest = url.href === request.url ? request : await withUrl(url, request)
    for (const [name, value] of Object.entries(csrfHeaders())) projectRequest.headers.set(name, value)
    return projectRequest
  },
})

/** Copies a request with another URL. The body is read as a whole: browsers do not stream uploads over HTTP/1.1. */
async function withUrl(url: URL, request: Request): Promise<Request> {
  const { method, headers, signal } = request
  return new Request(url, { method, headers, signal, body: request.body ? await request.blob() : null })
}

export interface FetchResult<T> {
  data?: T
  error?: unknown
  response: Response
}

export function toApiError(status: number, body: unknown): ApiError {
  const error = (body as { error?: Partial<ApiError> } | undefined)?.error
  return new ApiError(
    status,
    error?.code ?? 'error',
    error?.message ?? 'The server sent an invalid response.',
    error?.hint ?? '',
    error?.fields ?? {},
  )
}

/** Returns the data of a response. Throws an ApiError if the request failed. */
export async function unwrap<T>(request: Promise<FetchResult<T>>): Promise<T> {
  let result: FetchResult<T>
  try {
    result = await request
  } catch (error) {
    if (error instanceof DOMException) throw error // the request was aborted
    throw new ApiError(0, 'no-connection', 'The server does not respond.', 'Check that it is running, then try again.')
  }
  if (!result.response.ok) {
    if (result.response.status === 401) handleSignedOut()
    throw toApiError(result.response.status, result.error)
  }
  return result.data as T
}

/** Returns the data of a response with its ETag, for a later conditional request (If-Match). */
export async function unwrapWithETag<T>(request: Promise<FetchResult<T>>): Promise<{ data: T; etag: string }> {
  const data = await unwrap(request)
  return { data, etag: (await request).response.headers.get('ETag') ?? '' }
}

/** Fetches a resource that is not JSON. Throws an ApiError if that fails. */
export async function fetchStream(url: string, signal: AbortSignal): Promise<ReadableStream<Uint8Array>> {
  const request = fetch(url, { signal }).then(async (response) => ({
    response,
    data: response.body ?? undefined,
    error: response.ok ? undefined : await response.json().catch(() => undefined),
  }))
  return unwrap<ReadableStream<Uint8Array>>(request)
}

type QueryValue = string | number | boolean | number[] | undefined

/** The URL of a resource that the browser loads itself: an image, a download, an event stream. A list is a repeated parameter. */
export function apiUrl(path: string, query: Record<string, QueryValue> = {}): string {
  const parameters = Object.entries(query).flatMap(([name, value]) => (Array.isArray(value) ? value : [value]).map((single) => [name, single] as const))
  const queryString = new URLSearchParams(parameters.filter(([, value]) => value !== undefined).map(([name, value]) => [name, String(value)])).toString()
  return `${projectApiPath(currentProject)}${path}${queryString ? `?${queryString}` : ''}`
}

/** The URL of an item's image, scaled to at most `size` pixels. */
export function imageUrl(ref: string, key: string, size: number): string {
  return apiUrl(`/datasets/${encodeURIComponent(ref)}/image`, { key, size })
}
