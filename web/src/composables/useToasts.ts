import { defineStore } from 'pinia'
import { ref } from 'vue'
import { ApiError } from '@/api/client'
import { t } from '@/i18n'

/** The toast at the bottom of the page: a confirmation or an error. */
export const useToasts = defineStore('toasts', () => {
  const message = ref('')
  const kind = ref<'success' | 'error'>('success')
  const isVisible = ref(false)
  /** Key of the snackbar: a new toast gets its full time although another one is visible. */
  const count = ref(0)

  function open(text: string, toastKind: 'success' | 'error'): void {
    message.value = text
    kind.value = toastKind
    isVisible.value = true
    count.value += 1
  }
  const show = (text: string): void => open(text, 'success')
  const showError = (error: unknown): void => open(errorMessage(error), 'error')
  return { message, kind, isVisible, count, show, showError }
})

/** The message of an error, with its invalid fields and its hint. */
export function errorMessage(error: unknown): string {
  if (error instanceof ApiError) {
    const fields = Object.entries(error.fields).map(([name, text]) => `${name}: ${text}`)
    return [error.message, ...fields, error.hint].filter(Boolean).join(' ')
  }
  return error instanceof Error ? error.message : t.common.unknownError
}
