/** Edits of a dataset: small ones run in the request, large ones as a job whose progress is shown. */
import { ref, watch } from 'vue'
import { ApiError, client, unwrap, type Job } from '@/api/client'
import { isJobDone, useJobEvents } from '@/composables/useJobEvents'
import { useToasts } from '@/composables/useToasts'
import { t } from '@/i18n'

/** Edits of more items run as a job. */
const MAX_INLINE_ITEMS = 20_000

export interface DatasetEdit {
  /** Kind and parameters of the job. */
  kind: 'edit-items' | 'edit-classes' | 'merge'
  parameters: Record<string, unknown>
  /** Does the same in the request. Returns the new version. */
  runInline: () => Promise<string | null>
}

/** `background`: the job continues, but nothing waits for it any more. */
export type EditResult = { status: 'done'; ref: string | null } | { status: 'cancelled' } | { status: 'background' }

export function useDatasetEdit() {
  const toasts = useToasts()
  const jobId = ref<string | null>(null)
  const job = useJobEvents(jobId)
  let stopWaiting: (finishedJob: Job | null) => void = () => {}
  watch(job, (current) => {
    if (current && isJobDone(current)) stopWaiting(current)
  })

  /** Runs an edit that changes `itemCount` items. Throws an ApiError if it fails. */
  async function run(itemCount: number, edit: DatasetEdit): Promise<EditResult> {
    if (itemCount <= MAX_INLINE_ITEMS) return { status: 'done', ref: await edit.runInline() }
    const { id } = await unwrap(client.POST('/api/v1/jobs', { body: { kind: edit.kind, parameters: edit.parameters } }))
    const finished = new Promise<Job | null>((resolve) => (stopWaiting = resolve))
    jobId.value = id
    const finishedJob = await finished
    jobId.value = null
    if (!finishedJob) {
      toasts.show(t.jobs.inBackground)
      return { status: 'background' }
    }
    if (finishedJob.state === 'finished') return { status: 'done', ref: String(finishedJob.result['dataset']) }
    if (finishedJob.state === 'failed') throw toJobError(finishedJob)
    toasts.show(t.jobs.cancelled)
    return { status: 'cancelled' }
  }
  async function cancel(): Promise<void> {
    if (!jobId.value) return
    const params = { path: { job: jobId.value } }
    await unwrap(client.POST('/api/v1/jobs/{job}/cancel', { params })).catch(toasts.showError)
  }
  const continueInBackground = (): void => stopWaiting(null)
  return { job, run, cancel, continueInBackground }
}

function toJobError(job: Job): ApiError {
  return new ApiError(0, String(job.result['code'] ?? 'error'), job.error, job.hint)
}
