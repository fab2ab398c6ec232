/** UUIDs of version 7 (RFC 9562): they sort by the time at which they were made. Independent of Vue. */

const MAX_COUNTER = 0xfff

let lastTime = 0
let counter = 0

/** Creates an id. Ids of one page ascend, also within a millisecond and when the clock is set back. */
export function uuidv7(now: number = Date.now()): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  if (now > lastTime) {
    lastTime = now
    // Half of the counter's range stays free for further ids of the same millisecond.
    counter = (((bytes[6] as number) << 8) | (bytes[7] as number)) & (MAX_COUNTER >> 1)
  } else {
    counter += 1
    if (counter > MAX_COUNTER) {
      lastTime += 1
      counter = 0
    }
  }
  for (let index = 0; index < 6; index += 1) bytes[index] = Math.floor(lastTime / 2 ** (8 * (5 - index))) % 256
  bytes[6] = 0x70 | (counter >> 8)
  bytes[7] = counter & 0xff
  bytes[8] = 0x80 | ((bytes[8] as number) & 0x3f)
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}
