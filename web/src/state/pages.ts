/** Items of a view that are fetched a page at a time, wherever one looks, and kept for a while. */
import { ref, shallowReactive, type Ref } from 'vue'
import { ask, client, type Schemas } from '@/api/client'

export type Item = Schemas['ItemAnswer']
export interface View {
  ref: string
  where: string | null
  order: string
  descending: boolean
}

const SIZE = 60
const KEPT = 60

export class Pages {
  readonly total: Ref<number | null> = ref(null)
  readonly error: Ref<unknown> = ref(null)
  private readonly pages = shallowReactive(new Map<number, Item[]>())
  private readonly asked = new Map<number, Promise<void>>()
  private turn = 0
  private view: View | null = null

  begin(view: View): void {
    this.turn += 1
    this.view = view
    this.pages.clear()
    this.asked.clear()
    this.error.value = null
    void this.fetch(0)
  }

  item(index: number): Item | null {
    return this.pages.get(Math.floor(index / SIZE))?.[index % SIZE] ?? null
  }

  /** See to it that items from one to another are there, sooner or later. */
  want(first: number, last: number): void {
    for (let page = Math.floor(first / SIZE); page * SIZE < last; page += 1) void this.fetch(page)
  }

  async at(index: number): Promise<Item | null> {
    await this.fetch(Math.floor(index / SIZE))
    return this.item(index)
  }

  private fetch(page: number): Promise<void> {
    if (!this.view || this.pages.has(page)) return Promise.resolve()
    const asked = this.asked.get(page) ?? this.ask(page, this.view, this.turn)
    this.asked.set(page, asked)
    return asked
  }

  private async ask(page: number, view: View, turn: number): Promise<void> {
    try {
      const found = await ask(
        client.GET('/api/v1/datasets/{ref}/items', {
          params: {
            path: { ref: view.ref },
            query: { start: page * SIZE, limit: SIZE, where: view.where ?? undefined, order: view.order || undefined, descending: view.descending },
          },
        }),
      )
      if (turn !== this.turn) return
      this.total.value = found.total
      this.pages.set(page, found.items)
      for (const old of this.pages.keys()) {
        if (this.pages.size <= KEPT) break
        if (old !== page) this.pages.delete(old)
      }
    } catch (problem) {
      if (turn === this.turn) this.error.value = problem
    } finally {
      if (turn === this.turn) this.asked.delete(page)
    }
  }
}
