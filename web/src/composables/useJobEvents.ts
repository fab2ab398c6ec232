/** Follows the state and progress of a job through server-sent events. */
import { onScopeDispose, ref, watch, type Ref } from 'vue'
import { apiUrl, type Job } from '@/api/client'

export const isJobDone = (job: Job): boolean => !['queued', 'running'].includes(job.state)

export function useJobEvents(jobId: Ref<string | null>): Ref<Job | null> {
  const job = ref<Job | null>(null) as Ref<Job | null>
  let events: EventSource | null = null

  watch(
    jobId,
    (id) => {
      events?.close()
      job.value = null
      if (!id) return
      events = new EventSource(apiUrl(`/jobs/${encodeURIComponent(id)}/events`))
      events.onmessage = (event) => {
        job.value = JSON.parse(event.data) as Job
        if (isJobDone(job.value)) events?.close()
      }
    },
    { immediate: true },
  )
  onScopeDispose(() => events?.close())
  return job
}
