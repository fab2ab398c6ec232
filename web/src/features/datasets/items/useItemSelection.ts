import { computed, ref } from 'vue'
import type { ItemPages } from '@/features/datasets/items/useItemPages'

/** The selected items: some by their keys, or all that match the current filters. */
export function useItemSelection(pages: ItemPages) {
  const keys = ref(new Set<string>())
  const isAll = ref(false)
  let lastIndex: number | null = null
  const count = computed(() => (isAll.value ? (pages.total.value ?? 0) : keys.value.size))
  const has = (key: string): boolean => isAll.value || keys.value.has(key)

  /** Selects or deselects an item; with `isRange`, selects all items from the last one to this one. */
  function toggle(index: number, isRange: boolean): void {
    isAll.value = false
    const start = isRange && lastIndex !== null ? lastIndex : index
    const newKeys = new Set(keys.value)
    for (let position = Math.min(start, index); position <= Math.max(start, index); position += 1) {
      const key = pages.item(position)?.key
      if (key === undefined) continue
      if (isRange || !newKeys.delete(key)) newKeys.add(key)
    }
    lastIndex = index
    keys.value = newKeys
  }
  function selectAll(): void {
    isAll.value = true
  }
  function clear(): void {
    keys.value = new Set()
    isAll.value = false
  }
  return { keys, isAll, count, has, toggle, selectAll, clear }
}
