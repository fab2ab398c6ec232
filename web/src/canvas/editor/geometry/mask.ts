/** Masks as run lengths: column-major, background first, as in COCO. Independent of Vue. */
import { maskRuns, type Geometry } from '../../shapes'

export type Mask = Extract<Geometry, { type: 'mask' }>

/** Builds a mask from vertical runs (x, first y, end y) in ascending order that do not overlap. */
export function maskFromRuns(width: number, height: number, runs: Iterable<[number, number, number]>): Mask {
  const counts: number[] = []
  let position = 0
  for (const [x, start, end] of runs) {
    const first = x * height + start
    if (counts.length && first === position) counts[counts.length - 1] = (counts.at(-1) as number) + end - start
    else counts.push(first - position, end - start)
    position = x * height + end
  }
  if (position < width * height) counts.push(width * height - position)
  return { type: 'mask', width, height, counts }
}

/** Moves a mask by whole pixels; what leaves the image is lost. */
export function translateMask(mask: Mask, dx: number, dy: number): Mask {
  const { width, height } = mask
  const moved: [number, number, number][] = []
  for (const [x, start, end] of maskRuns(height, mask.counts)) {
    const run: [number, number, number] = [x + dx, Math.max(0, start + dy), Math.min(height, end + dy)]
    if (run[0] >= 0 && run[0] < width && run[1] < run[2]) moved.push(run)
  }
  return maskFromRuns(width, height, moved)
}

/** Crops or pads a mask to the size of another image. */
export function cropMask(mask: Mask, width: number, height: number): Mask {
  if (mask.width === width && mask.height === height) return mask
  const runs: [number, number, number][] = []
  for (const [x, start, end] of maskRuns(mask.height, mask.counts)) {
    if (x < width && start < height) runs.push([x, start, Math.min(end, height)])
  }
  return maskFromRuns(width, height, runs)
}
