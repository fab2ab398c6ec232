import { defineStore } from 'pinia'
import { computed, ref } from 'vue'
import { ask, client, Problem, setGuard, type Project, type Session } from '@/api/client'
import { forgetPanels } from '@/state/panels'

const ORDER = ['viewer', 'annotator', 'reviewer', 'manager', 'owner']

export const useSession = defineStore('session', () => {
  const current = ref<Session | null>(null)
  const isKnown = ref(false)
  const projects = ref<Project[]>([])

  function take(session: Session | null): void {
    current.value = session
    isKnown.value = true
    setGuard(session?.guard)
    forgetPanels()
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

  /** The projects that whoever is signed in is in. */
  async function lookAtProjects(): Promise<Project[]> {
    projects.value = await ask(client.GET('/api/v1/projects'))
    return projects.value
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
  return { current, person, isKnown, projects, take, look, lookAtProjects, signIn, signOut, may }
})
