import { onScopeDispose } from 'vue'

/** Calls a function at an interval while the page is visible and the condition holds. */
export function usePolling(isNeeded: () => boolean, poll: () => unknown, intervalMs: number): void {
  const timer = window.setInterval(() => {
    if (!document.hidden && isNeeded()) void poll()
  }, intervalMs)
  onScopeDispose(() => window.clearInterval(timer))
}
