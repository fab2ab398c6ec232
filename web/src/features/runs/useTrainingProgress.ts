import { client, unwrap } from '@/api/client'
import { useApiQuery, type ApiQuery, type QueryResult } from '@/api/queries'
import { addPoints, type Progress } from '@/features/runs/curves'

const POLL_MS = 1500

/**
 * The progress of a training with all points of its curves, as it comes. Each request gets only what is new.
 *
 * @param runId - returns the id of the run; null if it is not a training.
 */
export function useTrainingProgress(runId: () => string | null): QueryResult<Progress> {
  let latest: { run: string; progress: Progress } | null = null

  function progressQuery(run: string): ApiQuery<Progress> {
    const path = '/api/v1/runs/{run}/progress'
    return {
      queryKey: [path, { path: { run } }],
      queryFn: async ({ signal }) => {
        const earlier = latest?.run === run ? latest.progress : null
        const params = { path: { run }, query: { cursor: earlier?.cursor ?? '' } }
        const progress = await unwrap(client.GET(path, { params, signal }))
        latest = { run, progress: { ...progress, points: addPoints(earlier?.points ?? [], progress) } }
        return latest.progress
      },
    }
  }
  return useApiQuery(
    () => {
      const run = runId()
      return run === null ? null : progressQuery(run)
    },
    { poll: ({ state }) => state === 'running' && POLL_MS },
  )
}
