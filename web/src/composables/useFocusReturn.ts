/** Returns the focus to the element that opened a dialog when the dialog closes; also if a menu came between them. */
import { onBeforeUnmount, onMounted } from 'vue'

const CONTENT = '.v-overlay__content'
const OPEN_OVERLAY = '.v-overlay--active:is(.v-dialog, .v-menu)'

export function useFocusReturn(): void {
  let opener: HTMLElement | null = null
  let observer: MutationObserver | null = null

  function returnFocus(): void {
    if (document.querySelector(OPEN_OVERLAY)) return
    observer?.disconnect()
    observer = null
    const { activeElement } = document
    const isLost = !activeElement || activeElement === document.body || activeElement.closest(CONTENT)
    if (!isLost) return
    // What opened the dialog may be gone, such as the row of something that was deleted.
    const target = opener?.isConnected ? opener : document.querySelector<HTMLElement>('main h1')
    if (target?.tagName === 'H1') target.tabIndex = -1
    target?.focus({ preventScroll: true })
  }
  function onFocusIn(event: FocusEvent): void {
    if (!(event.target instanceof HTMLElement)) return
    if (!event.target.closest(CONTENT)) {
      opener = event.target
      return
    }
    const container = event.target.closest('.v-overlay-container')
    if (observer || !container) return
    observer = new MutationObserver(returnFocus)
    observer.observe(container, { subtree: true, childList: true, attributes: true, attributeFilter: ['class'] })
  }
  onMounted(() => document.addEventListener('focusin', onFocusIn))
  onBeforeUnmount(() => {
    document.removeEventListener('focusin', onFocusIn)
    observer?.disconnect()
  })
}
