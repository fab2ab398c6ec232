/** Fetches data when a component is created, and again when one of its sources changes. */
import { ref, watch, type Ref, type WatchSource } from 'vue'

export interface FetchState<T> {
  data: Ref<T | null>
  error: Ref<unknown>
  isLoading: Ref<boolean>
  reload: () => Promise<void>
}

export function useFetch<T>(fetchData: () => Promise<T>, sources: WatchSource[] = []): FetchState<T> {
  const data = ref<T | null>(null) as Ref<T | null>
  const error = ref<unknown>(null)
  const isLoading = ref(false)
  let latestRequest = 0

  async function reload(): Promise<void> {
    const request = ++latestRequest
    isLoading.value = true
    try {
      const response = await fetchData()
      if (request !== latestRequest) return // a slower, older response must not replace a newer one
      data.value = response
      error.value = null
    } catch (failure) {
      if (request === latestRequest) error.value = failure
    } finally {
      if (request === latestRequest) isLoading.value = false
    }
  }
  watch(sources, () => void reload(), { immediate: true })
  return { data, error, isLoading, reload }
}
