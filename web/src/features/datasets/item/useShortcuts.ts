import { onBeforeUnmount, onMounted } from 'vue'

/** Elements that have keys of their own. A slider with `data-player-keys` leaves its keys to the player. */
const OWN_KEYS = 'input, textarea, select, [contenteditable=true], [role=slider]:not([data-player-keys]), [role=menu], [role=listbox], [role=dialog]'
const PRESSED_BY_SPACE = 'button, a, summary, [role=button]'

/**
 * Calls the function that belongs to a pressed key, except while the user types or holds a modifier. Shift is part of the name of a key without a
 * character: `Shift+ArrowLeft`.
 */
export function useShortcuts(actions: () => Record<string, () => unknown>): void {
  function onKeydown(event: KeyboardEvent): void {
    const element = event.target instanceof Element ? event.target : null
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || element?.closest(OWN_KEYS)) return
    if (event.key === ' ' && element?.closest(PRESSED_BY_SPACE)) return
    const action = actions()[event.shiftKey && event.key.length > 1 ? `Shift+${event.key}` : event.key]
    if (!action) return
    event.preventDefault()
    action()
  }
  onMounted(() => window.addEventListener('keydown', onKeydown))
  onBeforeUnmount(() => window.removeEventListener('keydown', onKeydown))
}
