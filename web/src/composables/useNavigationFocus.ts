/** Tells users of the keyboard and of screen readers that another page has opened: its title, and the focus on its heading. */
import { nextTick, onBeforeUnmount, ref, watch, type Ref } from 'vue'
import { useRoute } from 'vue-router'
import { pageTitle } from '@/composables/pageTitle'

const MAX_WAIT_MS = 10_000

/** Returns the title of the page, which a live region announces. */
export function useNavigationFocus(): Ref<string> {
  const route = useRoute()
  const title = ref('')
  let observer: MutationObserver | null = null
  let timer = 0

  function stopWaiting(): void {
    observer?.disconnect()
    observer = null
    clearTimeout(timer)
  }
  /** Focuses the heading, unless the page or the user has focused something else. Returns false if it is not drawn yet. */
  function focusHeading(): boolean {
    const { activeElement } = document
    if (activeElement && activeElement !== document.body && activeElement.closest('main, [role=dialog]')) return true
    const heading = document.querySelector<HTMLElement>('main h1')
    if (!heading) return false
    heading.tabIndex = -1
    heading.focus({ preventScroll: true })
    return true
  }

  // Also the name: before the first navigation there is none, and the path is that of the dashboard.
  watch(() => [route.name, route.fullPath], () => (document.title = pageTitle(route)), { immediate: true })
  watch(
    () => [route.name, ...Object.values(route.params)].join(' '),
    async (_, previous) => {
      stopWaiting()
      if (!previous.trim()) return // the page has just loaded: browsers announce its title
      title.value = document.title
      const { activeElement } = document
      // A user who walks through the tabs stays on them.
      if (activeElement?.closest('[role=tablist]')) return
      await nextTick()
      if (focusHeading()) return
      observer = new MutationObserver(() => focusHeading() && stopWaiting())
      observer.observe(document.body, { childList: true, subtree: true })
      timer = window.setTimeout(stopWaiting, MAX_WAIT_MS)
    },
  )
  onBeforeUnmount(stopWaiting)
  return title
}
