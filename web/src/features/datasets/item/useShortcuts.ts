import { onBeforeUnmount, onMounted } from 'vue'

/** Calls the function that belongs to a pressed key, except while the user types or holds a modifier. */
export function useShortcuts(actions: () => Record<string, () => unknown>): void {
  function onKeydown(event: KeyboardEvent): void {
    if (event.target instanceof HTMLInputElement || event.ctrlKey || event.metaKey || event.altKey) return
    const action = actions()[event.key]
    if (!action) return
    event.preventDefault()
    action()
  }
  onMounted(() => window.addEventListener('keydown', onKeydown))
  onBeforeUnmount(() => window.removeEventListener('keydown', onKeydown))
}
