import { defineStore } from 'pinia'
import { ref } from 'vue'
import { Problem } from '@/api/client'
import { t } from '@/text'

/** A line at the foot of the page: what was done, or what went wrong. */
export const useNotice = defineStore('notice', () => {
  const text = ref('')
  const kind = ref<'success' | 'error'>('success')
  const isShown = ref(false)
  /** How many there were: each is shown for its own time. */
  const count = ref(0)

  function show(message: string, sort: 'success' | 'error'): void {
    text.value = message
    kind.value = sort
    isShown.value = true
    count.value += 1
  }
  const tell = (message: string): void => show(message, 'success')
  const fail = (error: unknown): void => show(sentence(error), 'error')
  return { text, kind, isShown, count, tell, fail }
})

export function sentence(error: unknown): string {
  if (error instanceof Problem) {
    const fields = Object.entries(error.fields).map(([name, text]) => `${name}: ${text}`)
    return [error.message, ...fields, error.hint].filter(Boolean).join(' ')
  }
  return error instanceof Error ? error.message : t.common.wrong
}
