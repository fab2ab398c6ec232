/** Decoded frames of a video, fetched a few at a time in the order in which they will be shown. Independent of Vue. */

/** Splits a stream of JPEGs, each after its length in 4 bytes. Yields null for a length of 0: a damaged frame. */
export async function* splitFrames(stream: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array | null> {
  const reader = stream.getReader()
  let buffer = new Uint8Array(0)
  const has = async (count: number): Promise<boolean> => {
    const chunks = [buffer]
    let length = buffer.length
    while (length < count) {
      const { value, done } = await reader.read()
      if (done) return false
      chunks.push(value as Uint8Array<ArrayBuffer>)
      length += value.length
    }
    if (chunks.length > 1) {
      buffer = new Uint8Array(length)
      let offset = 0
      for (const chunk of chunks) {
        buffer.set(chunk, offset)
        offset += chunk.length
      }
    }
    return true
  }
  try {
    while (await has(4)) {
      const length = new DataView(buffer.buffer, buffer.byteOffset).getUint32(0)
      if (!(await has(4 + length))) return
      yield length ? buffer.slice(4, 4 + length) : null
      buffer = buffer.subarray(4 + length)
    }
  } finally {
    await reader.cancel().catch(() => undefined) // of an aborted request
  }
}

export interface FrameSource<Picture> {
  /** Fetches the frames at some positions, in ascending order. */
  fetch: (positions: number[], signal: AbortSignal) => Promise<ReadableStream<Uint8Array>>
  decode: (jpeg: Uint8Array) => Promise<Picture>
  /** Frees the memory of a frame that was dropped. */
  close: (picture: Picture) => void
  /** Called when a frame has arrived, and when fetching failed. */
  onChange: () => void
}

/** Frames of one request. More would delay the first frame after a jump, since a request is only ended between frames. */
const MAX_BATCH = 16

export class FrameBuffer<Picture> {
  /** The error of the last request; fetching goes on when {@link request} is called again. */
  error: unknown = null
  private readonly pictures = new Map<number, Picture | null>() // the least recently used first
  private wanted: number[] = []
  private pinned = -1
  private running: { positions: Set<number>; controller: AbortController } | null = null

  /**
   * @param capacity - number of frames to keep.
   */
  constructor(
    private readonly source: FrameSource<Picture>,
    readonly capacity: number,
  ) {}

  has(position: number): boolean {
    return this.pictures.has(position)
  }

  /** The frame at a position; null if it is damaged or has not arrived. */
  get(position: number): Picture | null {
    const picture = this.pictures.get(position)
    if (picture === undefined) return null
    this.pictures.delete(position)
    this.pictures.set(position, picture)
    return picture
  }

  /** Keeps the frame that the screen shows. */
  pin(position: number): void {
    this.pinned = position
  }

  /** Sets which frames are needed, the most urgent one first. */
  request(positions: number[]): void {
    this.wanted = positions.slice(0, this.capacity)
    this.error = null
    const mostUrgent = this.wanted.find((position) => !this.has(position))
    if (mostUrgent !== undefined && this.running && !this.running.positions.has(mostUrgent)) {
      this.running.controller.abort()
      this.running = null
    }
    if (!this.running) void this.fetchMissing()
  }

  /** Ends the request and drops all frames. */
  clear(): void {
    this.wanted = []
    this.running?.controller.abort()
    this.running = null
    for (const picture of this.pictures.values()) if (picture !== null) this.source.close(picture)
    this.pictures.clear()
  }

  private async fetchMissing(): Promise<void> {
    while (!this.running && !this.error) {
      const batch = this.wanted.filter((position) => !this.has(position)).slice(0, MAX_BATCH)
      if (!batch.length) return
      await this.fetchBatch(batch.sort((first, second) => first - second))
    }
  }

  private async fetchBatch(batch: number[]): Promise<void> {
    const request = { positions: new Set(batch), controller: new AbortController() }
    this.running = request
    try {
      const stream = await this.source.fetch(batch, request.controller.signal)
      let count = 0
      for await (const jpeg of splitFrames(stream)) {
        const picture = jpeg && (await this.source.decode(jpeg).catch(() => null))
        if (this.running !== request) {
          if (picture) this.source.close(picture)
          return
        }
        const position = batch[count]
        if (position === undefined) break
        this.add(position, picture)
        request.positions.delete(position)
        count += 1
      }
      if (count < batch.length && this.running === request) throw new TypeError('The stream of frames has ended early.')
    } catch (error) {
      if (this.running !== request) return
      this.error = error
    }
    this.running = null
    if (this.error) this.source.onChange()
  }

  private add(position: number, picture: Picture | null): void {
    this.pictures.set(position, picture)
    const wanted = new Set(this.wanted)
    for (const [old, oldPicture] of this.pictures) {
      if (this.pictures.size <= this.capacity) break
      if (wanted.has(old) || old === this.pinned || old === position) continue
      this.pictures.delete(old)
      if (oldPicture !== null) this.source.close(oldPicture)
    }
    this.source.onChange()
  }
}
