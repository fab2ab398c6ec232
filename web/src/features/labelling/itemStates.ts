/** How the states of items look. */
import {
  mdiCheckCircle, mdiCircleOutline, mdiImageOffOutline, mdiProgressPencil, mdiSkipNextCircleOutline,
} from '@mdi/js'
import type { ItemState } from '@/features/labelling/sync/types'

export const STATE_STYLES: Record<ItemState, { icon: string; color: string }> = {
  labelled: { icon: mdiCheckCircle, color: 'success' },
  empty: { icon: mdiImageOffOutline, color: 'info' },
  in_progress: { icon: mdiProgressPencil, color: 'warning' },
  skipped: { icon: mdiSkipNextCircleOutline, color: 'secondary' },
  unlabelled: { icon: mdiCircleOutline, color: 'secondary' },
}

/** The order in a progress bar: what is finished first. */
export const PROGRESS_ORDER: readonly ItemState[] = ['labelled', 'empty', 'skipped', 'in_progress', 'unlabelled']

/** Items that need no more work. */
export const doneCount = (states: Record<ItemState, number>): number => states.labelled + states.empty + states.skipped
