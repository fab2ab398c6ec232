/** The items of a query, in pages. Only pages in the visible range are fetched; others leave the cache after a while. */
import { useQueries } from '@tanstack/vue-query'
import { computed, ref, watch, type Ref } from 'vue'
import type { Item } from '@/api/client'
import { get, queryClient, type QueryProgress } from '@/api/queries'

export interface ItemQuery {
  ref: string
  where: string | null
  order: string
  descending: boolean
}

export interface ItemPages extends QueryProgress {
  total: Ref<number | null>
  /** The item at an index; null if its page is not loaded. */
  item: (index: number) => Item | null
  /** Sets the half-open range of items to load. */
  loadRange: (first: number, end: number) => void
  /** Null if there is no such item. */
  fetchItem: (index: number) => Promise<Item | null>
}

const PAGE_SIZE = 60
const GC_TIME_MS = 60_000 // scrolling through a large dataset must not fill the memory

/** The pages of a query; null as long as the query is not known. */
export function useItemPages(query: () => ItemQuery | null): ItemPages {
  const total = ref<number | null>(null)
  const firstPage = ref(0)
  const endPage = ref(1)

  function pageQuery({ ref, where, order, descending }: ItemQuery, page: number) {
    const parameters = { start: page * PAGE_SIZE, limit: PAGE_SIZE, where: where ?? undefined, order: order || undefined, descending }
    const { queryKey, queryFn } = get('/api/v1/datasets/{ref}/items', { path: { ref }, query: parameters })
    return {
      queryKey,
      queryFn: async (context: { signal: AbortSignal }) => ({ page, ...(await queryFn(context)) }),
      gcTime: GC_TIME_MS,
      placeholderData: undefined, // not the items of another page
    }
  }
  const pages = useQueries({
    queries: () => {
      const current = query()
      if (!current) return []
      return Array.from({ length: endPage.value - firstPage.value }, (_, position) => pageQuery(current, firstPage.value + position))
    },
    shallow: true,
  }, queryClient)
  const itemsByPage = computed(() => new Map(pages.value.map(({ data }) => [data?.page, data?.items])))
  watch(pages, (all) => (total.value = all.find(({ data }) => data)?.data?.total ?? total.value), { immediate: true })

  function loadRange(first: number, end: number): void {
    firstPage.value = Math.floor(first / PAGE_SIZE)
    endPage.value = Math.max(firstPage.value + 1, Math.ceil(end / PAGE_SIZE))
  }
  const item = (index: number): Item | null => itemsByPage.value.get(Math.floor(index / PAGE_SIZE))?.[index % PAGE_SIZE] ?? null
  async function fetchItem(index: number): Promise<Item | null> {
    const current = query()
    if (!current || index < 0) return null
    try {
      const response = await queryClient.fetchQuery(pageQuery(current, Math.floor(index / PAGE_SIZE)))
      total.value = response.total
      return response.items[index % PAGE_SIZE] ?? null
    } catch {
      return null // the page reports the error when it is visible
    }
  }
  return {
    total,
    item,
    loadRange,
    fetchItem,
    get error() {
      return pages.value.find(({ error }) => error)?.error ?? null
    },
    get isLoading() {
      return pages.value.some(({ isPending }) => isPending)
    },
    reload: () => Promise.all(pages.value.map(({ refetch }) => refetch())),
  }
}
