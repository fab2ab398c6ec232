import { computed, onBeforeUnmount, onMounted, ref, watch, type ComputedRef } from 'vue'
import { ApiError, client, unwrap, type Schemas } from '@/api/client'
import { refresh } from '@/api/queries'
import { errorMessage, useToasts } from '@/composables/useToasts'
import {
  appendEdit, applyEdit, ClassEditError, pendingEdits, replayEdits, toClassRows, type ClassEdit, type ClassRow,
} from '@/features/datasets/classes/classEdits'
import { useDataset } from '@/features/datasets/useDataset'
import { useDatasetEdit } from '@/features/datasets/useDatasetEdit'
import { t } from '@/i18n'

/** The unsaved edits of the classes of a branch: adding, undoing, rebasing and saving them. */
export function usePendingClassEdits(response: ComputedRef<Schemas['ClassesResponse'] | null>, canEdit: ComputedRef<boolean>) {
  const { targetRef, etag } = useDataset()
  const toasts = useToasts()
  const datasetEdit = useDatasetEdit()

  const pending = computed(() => pendingEdits.get(targetRef.value))
  const edits = computed(() => pending.value?.edits ?? [])
  const savedRows = computed(() => toClassRows(response.value?.classes ?? []))
  /** Edits that were just saved. They apply until the classes of the new version are loaded. */
  const justSaved = ref<{ target: string; baseVersion: number; edits: ClassEdit[] } | null>(null)
  const rows = computed(() => {
    if (!canEdit.value) return savedRows.value
    // Two branches can have the same version as their head.
    const isOfThis = justSaved.value?.target === targetRef.value && justSaved.value.baseVersion === response.value?.number
    const savedEdits = isOfThis ? (justSaved.value?.edits ?? []) : []
    return replayEdits(savedRows.value, [...savedEdits, ...edits.value]).rows
  })
  /** Another version was created since the first edit. */
  const isStale = computed(() => edits.value.length > 0 && response.value !== null && pending.value?.baseVersion !== response.value.number)

  function setEdits(newEdits: ClassEdit[]): void {
    const base = pending.value ?? { baseVersion: response.value?.number ?? 0, etag: etag.value }
    if (newEdits.length) pendingEdits.set(targetRef.value, { ...base, edits: newEdits })
    else pendingEdits.delete(targetRef.value)
  }
  /** Adds an edit. Returns false if it is not possible. */
  function add(edit: ClassEdit): boolean {
    try {
      applyEdit(rows.value, edit)
    } catch (error) {
      if (error instanceof ClassEditError) return false
      throw error
    }
    setEdits(appendEdit(edits.value, edit))
    return true
  }
  /** Keeps the edits that are still possible, and says so if that is not all of them. */
  function keepPossible(candidates: ClassEdit[]): void {
    const { edits: possible } = replayEdits(savedRows.value, candidates)
    if (possible.length < candidates.length) toasts.show(t.classes.dropped)
    setEdits(possible)
  }
  const undo = (index: number): void => keepPossible(edits.value.filter((_, position) => position !== index))
  const discardAll = (): void => setEdits([])
  /** Moves the edits to the current version. */
  function rebase(): void {
    const candidates = edits.value
    setEdits([])
    keepPossible(candidates)
  }

  // Saving

  const isSaving = ref(false)
  const saveError = ref('')
  watch([edits, isStale], () => (saveError.value = ''))
  /** An upper bound of the items that saving changes: those with a class that is renamed, merged or deleted. */
  function changedItemCount(): number {
    const id = (row: ClassRow, name: string | null): string => `${row.column} ${name}`
    const unchanged = new Set(rows.value.filter((row) => row.originalName === row.name).map((row) => id(row, row.name)))
    return savedRows.value.filter((row) => !unchanged.has(id(row, row.name))).reduce((sum, row) => sum + row.items, 0)
  }
  /** Saves all edits as one version. Returns whether they are saved, or are being saved in the background. */
  async function save(message: string): Promise<boolean> {
    const saving = pending.value
    if (!saving) return false
    isSaving.value = true
    saveError.value = ''
    const dataset = targetRef.value
    const body = { edits: saving.edits, message: message.trim() }
    const params = { path: { ref: dataset }, header: { 'if-match': saving.etag } }
    try {
      const result = await datasetEdit.run(changedItemCount(), {
        kind: 'edit-classes',
        parameters: { ...body, dataset, expected_version: saving.baseVersion },
        runInline: async () => (await unwrap(client.POST('/api/v1/datasets/{ref}/classes', { params, body }))).ref,
      })
      if (result.status === 'cancelled') return false
      pendingEdits.delete(dataset)
      if (result.status === 'done') {
        justSaved.value = { target: dataset, baseVersion: saving.baseVersion, edits: saving.edits }
        toasts.show(`${t.common.created} ${result.ref}`)
        await refresh()
      }
      return true
    } catch (error) {
      saveError.value = errorMessage(error)
      if (error instanceof ApiError && error.code === 'stale-version') await refresh() // another user has created a version
      return false
    } finally {
      isSaving.value = false
    }
  }

  function onBeforeUnload(event: BeforeUnloadEvent): void {
    if (pendingEdits.size) event.preventDefault()
  }
  onMounted(() => window.addEventListener('beforeunload', onBeforeUnload))
  onBeforeUnmount(() => window.removeEventListener('beforeunload', onBeforeUnload))

  return { pending, edits, rows, isStale, add, undo, discardAll, rebase, isSaving, saveError, save, datasetEdit }
}
