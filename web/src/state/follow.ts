/** Follows a job as it goes, by the server's events. */
import { onScopeDispose, ref, watch, type Ref } from 'vue'
import { address, type Job } from '@/api/client'

export const hasEnded = (job: Job): boolean => !['queued', 'running'].includes(job.state)

export function useJob(id: Ref<string | null>): Ref<Job | null> {
  const job = ref<Job | null>(null) as Ref<Job | null>
  let source: EventSource | null = null

  watch(
    id,
    (wanted) => {
      source?.close()
      job.value = null
      if (!wanted) return
      source = new EventSource(address(`/jobs/${encodeURIComponent(wanted)}/events`))
      source.onmessage = (event) => {
        job.value = JSON.parse(event.data) as Job
        if (hasEnded(job.value)) source?.close()
      }
    },
    { immediate: true },
  )
  onScopeDispose(() => source?.close())
  return job
}
