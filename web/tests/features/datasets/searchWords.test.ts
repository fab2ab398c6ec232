import { describe, expect, it } from 'vitest'
import { buildQuery, columnExpression, emptyFilters, quote, searchWords } from '@/features/datasets/filters'

const searchQuery = (search: string): string | null => buildQuery({ ...emptyFilters(), search }, null)
/** The words in a query of the form search("…"), read as the server reads them: its escapes are those of JSON. */
function wordsOf(query: string | null): string[] {
  const literal = /^search\((".*")\)$/su.exec(query ?? '')?.[1]
  if (literal === undefined) throw new Error(`${query} is not a search`)
  return (JSON.parse(literal) as string).split(' ')
}

describe('a search by words', () => {
  it.each([
    ['harbour ship', ['harbour', 'ship']],
    ['  harbour \t\n ship harbour ', ['harbour', 'ship']],
    ['say "x"', ['say', '"x"']],
    ["it's a\\b \\", ["it's", 'a\\b', '\\']],
    ['any(objects, class == "ship") or not #', ['any(objects,', 'class', '==', '"ship")', 'or', 'not', '#']],
    ['Größe 船 🚢 e\u0301', ['Größe', '船', '🚢', 'e\u0301']],
    ['{} [] () ; -- /* */ %_ *? $(x) `y`', ['{}', '[]', '()', ';', '--', '/*', '*/', '%_', '*?', '$(x)', '`y`']],
    ['a\u0000b \ud800c d\udc00', ['ab', 'c', 'd']],
    ['a\u0085b\u001cc\u00a0d\u3000e\u2028f', ['a', 'b', 'c', 'd', 'e', 'f']],
  ])('of %j is a query for these words', (text, words) => {
    expect(searchWords(text)).toEqual(words)
    expect(wordsOf(searchQuery(text))).toEqual(words)
  })

  it.each(['', '   ', '\u0000', '\u0085\u001f', '\ud800'])('of %j is no query: it has no words', (text) => {
    expect(searchQuery(text)).toBeNull()
  })

  it('of any text keeps its characters, and nothing ends the text of the query early', () => {
    let state = 1
    const random = (below: number): number => {
      state = (state * 48271) % 2147483647 // Lehmer's generator: the same texts in every run
      return state % below
    }
    const alphabet = [...'"\\\'#()[]{}=<>!&|,;:.%*?$`~^@/ \n\r\t\b\f\0aZ0ß船', '🚢', '\ud83d', '\udea2', '\u2028', '\u2029', '\ufeff', '\u200b', 'None', ' and ', ' or ']
    for (let round = 0; round < 3000; round += 1) {
      const text = Array.from({ length: random(14) }, () => alphabet[random(alphabet.length)]).join('')
      const words = searchWords(text)
      const query = searchQuery(text)
      if (!words.length) expect(query).toBeNull()
      else expect(wordsOf(query)).toEqual(words)
      for (const word of words) expect(text.replace(/\0/gu, '').replace(/\p{Surrogate}/gu, '')).toContain(word)
      expect(query ?? '').not.toMatch(/[\n\r\0]|\p{Surrogate}/u)
    }
  })

  it('has at most as many words as the query language takes', () => {
    const text = Array.from({ length: 50 }, (_, number) => `w${number}`).join(' ')
    expect(wordsOf(searchQuery(text))).toHaveLength(32)
  })
})

it('names of columns that are no names in Python are quoted', () => {
  expect(['depth', '_x1', 'odd-name', 'class', 'in', 'None', 'item', 'größe', '1st'].map(columnExpression)).toEqual([
    'depth', '_x1', 'item["odd-name"]', 'item["class"]', 'item["in"]', 'item["None"]', 'item["item"]', 'item["größe"]', 'item["1st"]',
  ])
  expect(quote('a"b\\c\n')).toBe('"a\\"b\\\\c\\n"')
})
