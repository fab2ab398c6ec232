/** Something that is asked of the server when a screen opens, and again when what it depends on changes. */
import { ref, watch, type Ref, type WatchSource } from 'vue'

export interface Asked<T> {
  data: Ref<T | null>
  error: Ref<unknown>
  isLoading: Ref<boolean>
  again: () => Promise<void>
}

export function useAsked<T>(question: () => Promise<T>, on: WatchSource[] = []): Asked<T> {
  const data = ref<T | null>(null) as Ref<T | null>
  const error = ref<unknown>(null)
  const isLoading = ref(false)
  let turn = 0

  async function again(): Promise<void> {
    const mine = ++turn
    isLoading.value = true
    try {
      const found = await question()
      if (mine === turn) {
        data.value = found
        error.value = null
      }
    } catch (problem) {
      if (mine === turn) error.value = problem
    } finally {
      if (mine === turn) isLoading.value = false
    }
  }
  watch(on, () => void again(), { immediate: true })
  return { data, error, isLoading, again }
}
