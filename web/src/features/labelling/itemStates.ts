/** How the states of items look. */
import {
  mdiCheckCircle, mdiDatabaseCheckOutline, mdiCircleOutline, mdiImageOffOutline, mdiProgressPencil, mdiSkipNextCircleOutline,
} from '@mdi/js'
import type { ItemState, LabelSet } from '@/features/labelling/sync/types'

/** The state of an item for display; "unchecked" items have labels of the dataset and were not marked in this set. */
export type DisplayState = ItemState | 'unchecked'
export const DISPLAY_STATES: readonly DisplayState[] = ['unlabelled', 'unchecked', 'in_progress', 'labelled', 'empty', 'skipped']

export const STATE_STYLES: Record<DisplayState, { icon: string; color: string }> = {
  labelled: { icon: mdiCheckCircle, color: 'success' },
  empty: { icon: mdiImageOffOutline, color: 'info' },
  in_progress: { icon: mdiProgressPencil, color: 'warning' },
  skipped: { icon: mdiSkipNextCircleOutline, color: 'secondary' },
  unchecked: { icon: mdiDatabaseCheckOutline, color: 'secondary' },
  unlabelled: { icon: mdiCircleOutline, color: 'secondary' },
}

/** The order in a progress bar: what is finished first. */
export const PROGRESS_ORDER: readonly DisplayState[] = ['labelled', 'empty', 'skipped', 'in_progress', 'unchecked', 'unlabelled']

/** The number of items in a state. */
export function stateCount(set: LabelSet, state: DisplayState): number {
  return state === 'unchecked' ? set.unchecked.labelled + set.unchecked.empty : set.states[state] - set.unchecked[state]
}

export const displayState = (item: { state: ItemState; is_checked: boolean }): DisplayState => (item.is_checked ? item.state : 'unchecked')
