import type { Directive } from 'vue'

const observers = new WeakMap<HTMLElement, ResizeObserver>()

/** Makes an area, or the table in it, a Tab stop while it scrolls, so that the arrow keys can scroll it. */
export const vFocusableIfScrolling: Directive<HTMLElement> = {
  mounted(element) {
    const area = element.querySelector<HTMLElement>('.v-table__wrapper') ?? element
    const update = (): void => {
      if (area.scrollWidth > area.clientWidth || area.scrollHeight > area.clientHeight) area.tabIndex = 0
      else area.removeAttribute('tabindex')
    }
    const observer = new ResizeObserver(update)
    observer.observe(area)
    if (area.firstElementChild) observer.observe(area.firstElementChild)
    observers.set(element, observer)
  },
  unmounted(element) {
    observers.get(element)?.disconnect()
  },
}
