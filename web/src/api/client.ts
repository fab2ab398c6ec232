/** The one way to the server: typed by its own description, and with one kind of error. */
import createClient from 'openapi-fetch'
import { apiOf, DEFAULT, projectOf } from '@/state/place'
import type { components, paths } from './schema'

export type Schemas = components['schemas']
export type Session = Schemas['SessionAnswer']
export type Dataset = Schemas['DatasetAnswer']
export type Version = Schemas['VersionAnswer']
export type Job = Schemas['JobAnswer']
export type Model = Schemas['ModelAnswer']
export type Webhook = Schemas['WebhookAnswer']
export type Delivery = Schemas['DeliveryAnswer']
export type EventName = Webhook['events'][number]
export type Run = Schemas['RunAnswer']

export type Project = Schemas['ProjectAnswer']

export const project = typeof location === 'undefined' ? DEFAULT : projectOf(location.pathname)

/** What the server said is wrong: a stable word, a sentence, and what to do. */
export class Problem extends Error {
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

let guard = ''
let onSignedOut = () => {}

export function setGuard(value: string | null | undefined): void {
  guard = value ?? ''
}

export function whenSignedOut(act: () => void): void {
  onSignedOut = act
}

export function guardHeaders(): Record<string, string> {
  return guard ? { 'X-Saccade-Guard': guard } : {}
}

export const client = createClient<paths>({ baseUrl: '' })
client.use({
  async onRequest({ request }) {
    const place = new URL(request.url)
    place.pathname = apiOf(project, place.pathname)
    const asked = place.href === request.url ? request : await sentTo(place, request)
    for (const [name, value] of Object.entries(guardHeaders())) asked.headers.set(name, value)
    return asked
  },
})

/** The same request to another address. Its body as a whole: a browser does not send a stream by HTTP/1.1. */
async function sentTo(place: URL, request: Request): Promise<Request> {
  const { method, headers, signal } = request
  return new Request(place, { method, headers, signal, body: request.body ? await request.blob() : null })
}

interface Outcome<T> {
  data?: T
  error?: unknown
  response: Response
}

export function problemOf(status: number, body: unknown): Problem {
  const told = (body as { error?: Partial<Problem> & { message?: string } } | undefined)?.error
  return new Problem(
    status,
    told?.code ?? 'error',
    told?.message ?? 'The server gave no answer that can be understood.',
    told?.hint ?? '',
    told?.fields ?? {},
  )
}

/** The data of an answer, or a Problem. */
export async function ask<T>(asked: Promise<Outcome<T>>): Promise<T> {
  let outcome: Outcome<T>
  try {
    outcome = await asked
  } catch (error) {
    if (error instanceof DOMException) throw error
    throw new Problem(0, 'no-connection', 'The server does not answer.', 'Check that it runs, then try again.')
  }
  if (!outcome.response.ok) {
    if (outcome.response.status === 401) onSignedOut()
    throw problemOf(outcome.response.status, outcome.error)
  }
  return outcome.data as T
}

/** The data of an answer with its tag, for a change that is to follow just that. */
export async function askTagged<T>(asked: Promise<Outcome<T>>): Promise<{ data: T; tag: string }> {
  const data = await ask(asked)
  return { data, tag: (await asked).response.headers.get('ETag') ?? '' }
}

/** The address of something that an element of the page loads itself. */
export function address(path: string, query: Record<string, string | number | boolean | undefined> = {}): string {
  const given = Object.entries(query).filter(([, value]) => value !== undefined)
  const text = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString()
  return `${apiOf(project)}${path}${text ? `?${text}` : ''}`
}

export function pictureOf(ref: string, key: string, size: number): string {
  return address(`/datasets/${encodeURIComponent(ref)}/picture`, { key, size })
}
