import { useRouter } from 'vue-router'
import { client } from '@/api/client'
import { change, remove } from '@/api/queries'
import { useToasts } from '@/composables/useToasts'
import { t } from '@/i18n'

/** Stops and deletes a run. After deleting, the list of runs opens. */
export function useRunActions(runId: () => string, listRoute: 'runs' | 'pipelines') {
  const router = useRouter()
  const toasts = useToasts()
  const params = (): { path: { run: string } } => ({ path: { run: runId() } })

  async function stopRun(): Promise<void> {
    try {
      await change(client.POST('/api/v1/runs/{run}/cancel', { params: params() }))
      toasts.show(t.runs.stopping)
    } catch (error) {
      toasts.showError(error)
    }
  }
  async function deleteRun(): Promise<void> {
    try {
      await remove(client.DELETE('/api/v1/runs/{run}', { params: params() }))
      await router.push({ name: listRoute })
    } catch (error) {
      toasts.showError(error)
    }
  }
  return { stopRun, deleteRun }
}
