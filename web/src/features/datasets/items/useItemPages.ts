/** The items of a query. They are fetched in pages as they become visible; old pages are dropped. */
import { ref, shallowReactive, type Ref } from 'vue'
import { client, unwrap, type Item } from '@/api/client'

export interface ItemQuery {
  ref: string
  where: string | null
  order: string
  descending: boolean
}

export interface ItemPages {
  total: Ref<number | null>
  error: Ref<unknown>
  /** Drops all pages and starts a new query. */
  reset: (query: ItemQuery) => void
  /** The item at an index; null if its page is not loaded. */
  item: (index: number) => Item | null
  /** Starts loading the pages of a half-open range. */
  loadRange: (first: number, end: number) => void
  fetchItem: (index: number) => Promise<Item | null>
}

const PAGE_SIZE = 60
const MAX_PAGES = 60

export function useItemPages(): ItemPages {
  const total = ref<number | null>(null)
  const error = ref<unknown>(null)
  const pages = shallowReactive(new Map<number, Item[]>())
  const requests = new Map<number, Promise<void>>()
  let currentQuery: ItemQuery | null = null

  function reset(query: ItemQuery): void {
    currentQuery = query
    pages.clear()
    requests.clear()
    error.value = null
    void loadPage(0)
  }

  function item(index: number): Item | null {
    return pages.get(Math.floor(index / PAGE_SIZE))?.[index % PAGE_SIZE] ?? null
  }

  function loadRange(first: number, end: number): void {
    for (let page = Math.floor(first / PAGE_SIZE); page * PAGE_SIZE < end; page += 1) void loadPage(page)
  }

  async function fetchItem(index: number): Promise<Item | null> {
    if (index < 0) return null
    await loadPage(Math.floor(index / PAGE_SIZE))
    return item(index)
  }

  function loadPage(page: number): Promise<void> {
    if (!currentQuery || pages.has(page)) return Promise.resolve()
    const request = requests.get(page) ?? fetchPage(page, currentQuery)
    requests.set(page, request)
    return request
  }

  async function fetchPage(page: number, query: ItemQuery): Promise<void> {
    const { where, order, descending } = query
    const parameters = { start: page * PAGE_SIZE, limit: PAGE_SIZE, where: where ?? undefined, order: order || undefined, descending }
    try {
      const response = await unwrap(
        client.GET('/api/v1/datasets/{ref}/items', { params: { path: { ref: query.ref }, query: parameters } }),
      )
      if (query !== currentQuery) return
      total.value = response.total
      pages.set(page, response.items)
      dropOldPages(page)
    } catch (failure) {
      if (query === currentQuery) error.value = failure
    } finally {
      if (query === currentQuery) requests.delete(page)
    }
  }

  function dropOldPages(newPage: number): void {
    for (const page of pages.keys()) {
      if (pages.size <= MAX_PAGES) break
      if (page !== newPage) pages.delete(page)
    }
  }

  return { total, error, reset, item, loadRange, fetchItem }
}
