/** The dataset version that the surrounding dataset screen shows; all of its tabs share it. */
import { inject, type ComputedRef, type InjectionKey, type Ref } from 'vue'
import { client, unwrapWithETag, type Version } from '@/api/client'
import type { ApiQuery } from '@/api/queries'

export interface DatasetContext {
  /** The reference in the URL: NAME, NAME@BRANCH or NAME@VERSION. */
  datasetRef: ComputedRef<string>
  datasetName: ComputedRef<string>
  version: Readonly<Ref<Version | null>>
  /** The branch whose head is shown; null for a fixed version, which is read-only. */
  branch: ComputedRef<string | null>
  /** The reference that edits are sent to: that of the branch. */
  targetRef: ComputedRef<string>
  /** The head of a branch is shown, which can be edited. */
  isLatest: ComputedRef<boolean>
  /** The ETag of the version, for edits that must fail if it is no longer the head of its branch. */
  etag: ComputedRef<string>
}

export function versionQuery(ref: string): ApiQuery<{ data: Version; etag: string }> {
  const path = '/api/v1/datasets/{ref}'
  const params = { path: { ref } }
  return { queryKey: [path, params], queryFn: ({ signal }) => unwrapWithETag(client.GET(path, { params, signal })) }
}

export const DATASET_CONTEXT: InjectionKey<DatasetContext> = Symbol('dataset')

export function useDataset(): DatasetContext {
  const context = inject(DATASET_CONTEXT)
  if (!context) throw new Error('useDataset needs a DatasetScreen around the component.')
  return context
}
