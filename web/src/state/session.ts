import { defineStore } from 'pinia'
import { computed, ref } from 'vue'
import { ask, client, Problem, setGuard, type Session } from '@/api/client'

const ORDER = ['viewer', 'annotator', 'reviewer', 'manager', 'owner']

export const useSession = defineStore('session', () => {
  const current = ref<Session | null>(null)
  const isKnown = ref(false)

  function take(session: Session | null): void {
    current.value = session
    isKnown.value = true
    setGuard(session?.guard)
  }

  async function look(): Promise<void> {
    if (isKnown.value) return
    try {
      take(await ask(client.GET('/api/v1/session')))
    } catch (error) {
      if (!(error instanceof Problem) || error.status !== 401) throw error
      take(null)
    }
  }

  async function signIn(email: string, password: string): Promise<void> {
    take(await ask(client.POST('/api/v1/session', { body: { email, password } })))
  }

  async function signOut(): Promise<void> {
    await ask(client.DELETE('/api/v1/session'))
    take(null)
  }

  const person = computed(() => current.value?.person ?? null)
  const may = (role: string): boolean => ORDER.indexOf(current.value?.role ?? '') >= ORDER.indexOf(role)
  return { current, person, isKnown, take, look, signIn, signOut, may }
})
