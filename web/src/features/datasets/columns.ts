/** The columns of a dataset version. */
import { computed, type ComputedRef, type Ref } from 'vue'
import type { Item, Schemas, Version } from '@/api/client'
import type { ClassStyle, ImageObject } from '@/canvas/shapes'

export type Column = Schemas['ColumnResponse']

/** The value of an image or video column. */
export interface Media {
  width: number
  height: number
  name: string
  size: number
  format: string
  digest: string
  /** Of a video. */
  frames?: number
  rate?: number
  /** Of an image: the number of the frame of a video, or of the page of a file. */
  frame?: number | null
}

const IMAGE_FORMATS = ['avif', 'bmp', 'gif', 'jpeg', 'png', 'tiff', 'webp']

/** Whether an image is a frame of a video. */
export const isVideoFrame = (media: Media): boolean => typeof media.frame === 'number' && !IMAGE_FORMATS.includes(media.format)

/** The name in a dataset reference (NAME or NAME@VERSION). */
export const nameFromRef = (ref: string): string => ref.split('@')[0] ?? ref

/** The first column of one of the kinds. */
export function findColumn(version: Version | null, ...kinds: string[]): Column | null {
  return version?.columns.find((column) => kinds.includes(column.kind)) ?? null
}

export const mediaColumn = (version: Version | null): Column | null => findColumn(version, 'image', 'video')

/** The column whose classes are shown on items and filtered by. */
export const labelColumn = (version: Version | null): Column | null => findColumn(version, 'objects', 'label', 'labels')

export function mediaOf(item: Item | null, column: Column | null): Media | null {
  return (column && (item?.values[column.name] as Media | null | undefined)) ?? null
}

/** The objects of an item; null if it is not labelled. An empty list means: labelled, nothing there. */
export function objectsOf(item: Item | null, column: Column | null): ImageObject[] | null {
  if (column?.kind !== 'objects') return null
  return (item?.values[column.name] as ImageObject[] | null | undefined) ?? null
}

/** The styles of all classes of a version, by class name. */
export function useClassStyles(version: Readonly<Ref<Version | null>>): ComputedRef<Map<string, ClassStyle>> {
  return computed(() => {
    const styles = new Map<string, ClassStyle>()
    for (const column of version.value?.columns ?? []) {
      for (const style of (column.classes ?? []) as unknown as ClassStyle[]) styles.set(style.name, style)
    }
    return styles
  })
}
