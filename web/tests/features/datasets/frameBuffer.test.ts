import { describe, expect, it } from 'vitest'
import { FrameBuffer, splitFrames, type FrameSource } from '@/features/datasets/item/frameBuffer'

const framed = (content: number[]): number[] => [0, 0, 0, content.length, ...content]
const streamOf = (bytes: number[], chunkSize = 1000): ReadableStream<Uint8Array> =>
  new ReadableStream({
    start(controller) {
      for (let start = 0; start < bytes.length; start += chunkSize) controller.enqueue(new Uint8Array(bytes.slice(start, start + chunkSize)))
      controller.close()
    },
  })
async function settle(): Promise<void> {
  for (let count = 0; count < 5; count += 1) await new Promise((resolve) => setTimeout(resolve))
}

describe('splitFrames', () => {
  it.each([1, 2, 3, 5, 7, 1000])('splits a stream that arrives in chunks of %i bytes', async (chunkSize) => {
    const frames: (number[] | null)[] = []
    for await (const frame of splitFrames(streamOf([...framed([1, 2, 3]), ...framed([]), ...framed([4])], chunkSize))) frames.push(frame && [...frame])
    expect(frames).toEqual([[1, 2, 3], null, [4]])
  })

  it('leaves out a frame that has not arrived as a whole', async () => {
    const frames: (Uint8Array | null)[] = []
    for await (const frame of splitFrames(streamOf([...framed([1]), 0, 0, 0, 9, 1]))) frames.push(frame)
    expect(frames).toHaveLength(1)
  })
})

/** A buffer whose pictures are the positions themselves, and what it asked for. */
function createBuffer(capacity: number, source: Partial<FrameSource<number>> = {}) {
  const requests: number[][] = []
  const closed: number[] = []
  const buffer = new FrameBuffer<number>(
    {
      fetch: (positions) => {
        requests.push(positions)
        return Promise.resolve(streamOf(positions.flatMap((position) => framed([position]))))
      },
      decode: (jpeg) => Promise.resolve(jpeg[0] as number),
      close: (picture) => closed.push(picture),
      onChange: () => undefined,
      ...source,
    },
    capacity,
  )
  return { buffer, requests, closed }
}

describe('FrameBuffer', () => {
  it('fetches the missing frames in ascending order, the most urgent batch first', async () => {
    const { buffer, requests } = createBuffer(64)
    const positions = [20, 21, 22, 19, ...Array.from({ length: 20 }, (_, index) => 23 + index)]
    buffer.request(positions)
    await settle()
    expect(requests.map((batch) => [batch[0], batch.length])).toEqual([[19, 16], [35, 8]])
    expect(positions.map((position) => buffer.get(position))).toEqual(positions)
    buffer.request([20, 50])
    await settle()
    expect(requests.at(-1)).toEqual([50])
  })

  it('drops the least recently used frames, but not the one on the screen', async () => {
    const { buffer, closed } = createBuffer(3)
    buffer.request([1, 2, 3])
    await settle()
    buffer.get(2)
    buffer.pin(1)
    buffer.request([7])
    await settle()
    expect(closed).toEqual([3])
    expect([1, 2, 3, 7].map((position) => buffer.has(position))).toEqual([true, true, false, true])
    buffer.clear()
    expect(closed.sort()).toEqual([1, 2, 3, 7])
  })

  it('ends a request that is no longer urgent', async () => {
    const signals: AbortSignal[] = []
    const { buffer } = createBuffer(64, {
      fetch: (positions, signal) => {
        signals.push(signal)
        return Promise.resolve(positions[0] === 1 ? new ReadableStream<Uint8Array>() : streamOf(framed([positions[0] as number])))
      },
    })
    buffer.request([1])
    buffer.request([1])
    await settle()
    expect(signals.map(({ aborted }) => aborted)).toEqual([false])
    buffer.request([9])
    await settle()
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, false])
    expect([buffer.has(1), buffer.has(9)]).toEqual([false, true])
  })

  it('keeps a damaged frame as null', async () => {
    const { buffer } = createBuffer(64, { fetch: () => Promise.resolve(streamOf([...framed([]), ...framed([2])])) })
    buffer.request([1, 2])
    await settle()
    expect([buffer.has(1), buffer.get(1), buffer.get(2)]).toEqual([true, null, 2])
  })

  it('stops at an error, and tries again when frames are requested again', async () => {
    let isBroken = true
    const { buffer } = createBuffer(64, {
      fetch: (positions) => (isBroken ? Promise.reject(new Error('offline')) : Promise.resolve(streamOf(framed([positions[0] as number])))),
    })
    buffer.request([1])
    await settle()
    expect(buffer.error).toEqual(new Error('offline'))
    isBroken = false
    buffer.request([1])
    await settle()
    expect([buffer.error, buffer.get(1)]).toEqual([null, 1])
  })
})
