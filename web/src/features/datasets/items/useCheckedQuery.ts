import { ref, shallowRef, watch, type Ref } from 'vue'
import { ApiError } from '@/api/client'
import { get, queryClient } from '@/api/queries'

export interface CheckedQuery {
  /** The last valid text, null as long as there is none. */
  query: Ref<string | null>
  /** The last text that was checked. */
  checked: Ref<string | null>
  error: Ref<ApiError | null>
}

/**
 * Checks a query before it is applied: an invalid one must not replace the results on the screen, and its error must show the
 * place in what the user typed, not in the query of all filters.
 *
 * @param text - returns the query and the version that it is for; null as long as the version is not known.
 */
export function useCheckedQuery(text: () => { ref: string; query: string } | null): CheckedQuery {
  const query = ref<string | null>(null)
  const checked = ref<string | null>(null)
  const error = shallowRef<ApiError | null>(null)

  async function check(current: { ref: string; query: string }, isCurrent: () => boolean): Promise<void> {
    // A comment would hide what follows the query when it is combined with filters: in parentheses it is an error.
    const where = current.query.includes('#') ? `(${current.query.trim()})` : current.query.trim()
    let failure: unknown = null
    try {
      if (where) await queryClient.fetchQuery(get('/api/v1/datasets/{ref}/keys', { path: { ref: current.ref }, query: { where, limit: 0 } }))
    } catch (reason) {
      failure = reason
    }
    if (!isCurrent()) return
    error.value = failure instanceof ApiError && failure.code === 'query' ? failure : null
    if (!error.value) query.value = current.query // the grid reports errors of other kinds
    checked.value = current.query
  }
  // Two strings, not an object of them: a change of other filters must not cancel the check of the same query.
  watch([() => text()?.ref, () => text()?.query], ([versionRef, newQuery], _, onCleanup) => {
    if (versionRef === undefined || newQuery === undefined) return
    let isCurrent = true
    onCleanup(() => (isCurrent = false))
    void check({ ref: versionRef, query: newQuery }, () => isCurrent)
  }, { immediate: true })
  return { query, checked, error }
}
