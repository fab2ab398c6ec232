import { defineStore } from 'pinia'
import { computed, ref } from 'vue'
import { ApiError, client, setCsrfToken, unwrap, type Session } from '@/api/client'
import { queryClient } from '@/api/queries'

const ROLES = ['viewer', 'annotator', 'reviewer', 'manager', 'owner'] // each includes the permissions of those before it

/** The signed-in user and their role in the current project. */
export const useSession = defineStore('session', () => {
  const current = ref<Session | null>(null)
  const isLoaded = ref(false)

  function setSession(session: Session | null): void {
    if (session?.user.id !== current.value?.user.id) queryClient.clear() // another user may see other things
    current.value = session
    isLoaded.value = true
    setCsrfToken(session?.csrf_token)
  }

  async function load(): Promise<void> {
    if (isLoaded.value) return
    try {
      setSession(await unwrap(client.GET('/api/v1/session')))
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 401) throw error
      setSession(null)
    }
  }

  async function signIn(email: string, password: string): Promise<void> {
    setSession(await unwrap(client.POST('/api/v1/session', { body: { email, password } })))
  }

  async function signOut(): Promise<void> {
    await unwrap(client.DELETE('/api/v1/session'))
    setSession(null)
  }

  const user = computed(() => current.value?.user ?? null)
  const hasRole = (role: string): boolean => ROLES.indexOf(current.value?.role ?? '') >= ROLES.indexOf(role)
  return { current, user, isLoaded, setSession, load, signIn, signOut, hasRole }
})
