import { defineStore } from 'pinia'
import { computed, ref } from 'vue'
import { ApiError, client, setCsrfToken, unwrap, type Project, type Session } from '@/api/client'
import { clearPanels } from '@/features/panels/panels'

const ROLES = ['viewer', 'annotator', 'reviewer', 'manager', 'owner'] // each includes the permissions of those before it

/** The signed-in user, their role in the current project, and their projects. */
export const useSession = defineStore('session', () => {
  const current = ref<Session | null>(null)
  const isLoaded = ref(false)
  const projects = ref<Project[]>([])

  function setSession(session: Session | null): void {
    current.value = session
    isLoaded.value = true
    setCsrfToken(session?.csrf_token)
    clearPanels()
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

  async function loadProjects(): Promise<Project[]> {
    projects.value = await unwrap(client.GET('/api/v1/projects'))
    return projects.value
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
  return { current, user, isLoaded, projects, setSession, load, loadProjects, signIn, signOut, hasRole }
})
