/**
 * Cached reads of the API (TanStack Query). The key of a query is the path and the parameters of its request.
 *
 * The cache belongs to one user and one project: it is cleared when the user changes, and a change of project loads the app anew.
 */
import { keepPreviousData, QueryClient, skipToken, useQuery } from '@tanstack/vue-query'
import type { ClientPathsWithMethod, MethodResponse } from 'openapi-fetch'
import { computed } from 'vue'
import { ApiError, client, unwrap, type FetchResult } from '@/api/client'
import type { paths } from '@/api/schema'

export type GetPath = ClientPathsWithMethod<typeof client, 'get'>
export type QueryKey = readonly [path: keyof paths, parameters: unknown]
type Parameters<Path extends GetPath> = paths[Path] extends { get: { parameters: infer T } } ? Omit<T, 'header' | 'cookie'> : never
type Arguments<Path extends GetPath> = object extends Parameters<Path> ? [parameters?: Parameters<Path>] : [parameters: Parameters<Path>]

export interface ApiQuery<T> {
  queryKey: QueryKey
  queryFn: (context: { signal: AbortSignal }) => Promise<T>
}

const MAX_RETRIES = 2
const UNANSWERED = 0 // the status of an ApiError without a response
/** What never changes in an exact version of a dataset. Its names (tags, aliases) can change. */
const IMMUTABLE_PATHS: readonly string[] = (['items', 'item', 'histogram', 'stats', 'classes', 'diff', 'timeline'] as const).map(
  (resource) => `/api/v1/datasets/{ref}/${resource}` satisfies GetPath,
)

export function isImmutable([path, parameters]: readonly unknown[]): boolean {
  const ref = (parameters as { path?: { ref?: string } } | undefined)?.path?.ref ?? ''
  return IMMUTABLE_PATHS.includes(String(path)) && /@\d+$/.test(ref)
}

/** Reads are idempotent, so they can be repeated; but the server gives the same answer to an invalid request. */
export function shouldRetry(failureCount: number, error: unknown): boolean {
  const isTemporary = error instanceof ApiError && (error.status === UNANSWERED || error.status >= 500)
  return isTemporary && failureCount < MAX_RETRIES
}

export const queryClient = new QueryClient({
  defaultOptions: {
    queries: {
      networkMode: 'always', // the server may be on this computer, which works offline
      placeholderData: keepPreviousData,
      refetchOnWindowFocus: false, // it would drop a selection when another user has created a version
      retry: shouldRetry,
      staleTime: (query) => (isImmutable(query.queryKey) ? 'static' : 0),
    },
  },
})

/** A GET request as a query. */
export function get<Path extends GetPath>(path: Path, ...[parameters]: Arguments<Path>): ApiQuery<MethodResponse<typeof client, 'get', Path>> {
  type Data = MethodResponse<typeof client, 'get', Path>
  const request = client.GET as unknown as (path: string, init: object) => Promise<FetchResult<Data>>
  return {
    queryKey: [path, parameters ?? {}],
    queryFn: ({ signal }) => unwrap(request(path, { params: parameters, signal })),
  }
}

export interface QueryProgress {
  readonly error: unknown
  /** Waits for the first response. */
  readonly isLoading: boolean
  reload: () => Promise<unknown>
}

export interface QueryResult<T> extends QueryProgress {
  /** Null before the first response, and if the resource does not exist. While the query changes, the previous data. */
  readonly data: T | null
  /** Waits for any response. */
  readonly isFetching: boolean
}

interface QuerySettings<T> {
  /** After how many milliseconds to fetch again while the page is visible; false for never. */
  poll?: (data: T) => number | false
  retry?: (failureCount: number, error: Error) => boolean
  retryDelay?: number
}

/**
 * The result of a query, fetched when the component is created and when the query changes. Leaving the component cancels the request.
 *
 * @param query - returns the query; null as long as it cannot be made.
 */
export function useApiQuery<T>(query: () => ApiQuery<T> | null, { poll, ...settings }: QuerySettings<T> = {}): QueryResult<T> {
  const current = computed(query)
  const result = useQuery<T>(() => ({
    queryKey: current.value?.queryKey ?? [],
    queryFn: current.value?.queryFn ?? skipToken,
    refetchInterval: ({ state }) => (poll && state.data !== undefined ? poll(state.data as T) : false),
    shallow: true,
    ...settings,
  }), queryClient)
  return {
    get data() {
      return current.value === null || isNotFound(result.error.value) ? null : ((result.data.value as T | undefined) ?? null)
    },
    get error() {
      return current.value && result.error.value
    },
    get isLoading() {
      return current.value !== null && result.isPending.value
    },
    get isFetching() {
      return result.isFetching.value
    },
    reload: () => result.refetch(),
  }
}

export const isNotFound = (error: unknown): error is ApiError => error instanceof ApiError && error.status === 404

/** Fetches again what the screen shows; the rest is fetched again when it is shown. */
export const refresh = (): Promise<void> => queryClient.invalidateQueries()

/** Sends a change and refreshes, also after a failure: the screen may be out of date. */
export async function change<T>(request: Promise<FetchResult<T>>): Promise<T> {
  try {
    return await unwrap(request)
  } finally {
    await refresh()
  }
}

/** Sends a deletion after which the screen closes. Does not refresh, because the screen shows what is gone. */
export async function remove(request: Promise<FetchResult<unknown>>): Promise<void> {
  await unwrap(request)
  queryClient.removeQueries({ type: 'inactive' })
}
