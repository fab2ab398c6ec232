/** Reproducible numbers between 0 and 1 (a linear congruential generator). */
export function createRandom(seed: number): () => number {
  let state = seed
  return () => (state = (state * 1664525 + 1013904223) % 2 ** 32) / 2 ** 32
}
