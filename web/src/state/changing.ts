/** A change of a dataset: done at once where there is little to do, else left to the workers, watched, and cancelled. */
import { ref, watch } from 'vue'
import { ask, client, Problem, type Job } from '@/api/client'
import { hasEnded, useJob } from '@/state/follow'
import { useNotice } from '@/state/notice'
import { t } from '@/text'

/** More items than these are changed by a job: what takes longer than a moment shows how far it is. */
const MANY = 20_000

export interface Change {
  kind: 'change' | 'classes' | 'merge'
  parameters: Record<string, unknown>
  atOnce: () => Promise<string | null>
}
/** What became of it: a version, nothing, or it goes on without being watched. */
export type Outcome = { did: 'made'; ref: string | null } | { did: 'nothing' } | { did: 'goes-on' }

export function useChanging() {
  const notice = useNotice()
  const id = ref<string | null>(null)
  const job = useJob(id)
  let settle: (ended: Job | null) => void = () => {}
  watch(job, (now) => {
    if (now && hasEnded(now)) settle(now)
  })

  /** @param items how many are to be others */
  async function change(items: number, asked: Change): Promise<Outcome> {
    if (items <= MANY) return { did: 'made', ref: await asked.atOnce() }
    const left = await ask(client.POST('/api/v1/jobs', { body: { kind: asked.kind, parameters: asked.parameters } }))
    const ended = new Promise<Job | null>((resolve) => (settle = resolve))
    id.value = left.id
    const last = await ended
    id.value = null
    if (!last) notice.tell(t.jobs.goesOn)
    if (last?.state === 'cancelled') notice.tell(t.jobs.nothingDone)
    if (last?.state === 'failed') throw problemIn(last)
    if (last?.state === 'finished') return { did: 'made', ref: String(last.result['dataset']) }
    return { did: last ? 'nothing' : 'goes-on' }
  }
  async function cancel(): Promise<void> {
    if (!id.value) return
    await ask(client.POST('/api/v1/jobs/{job}/cancel', { params: { path: { job: id.value } } })).catch(notice.fail)
  }
  const leave = (): void => settle(null)
  return { job, change, cancel, leave }
}

function problemIn(job: Job): Problem {
  const code = String(job.result['code'] ?? 'error')
  return new Problem(0, code, job.error, job.hint)
}
