/** References that point outside the export: left as they are, and counted for the report by where they stand and what they mean. */

export class Outside {
  readonly #settled: ReadonlySet<string>;
  /** `zerver_message.content` -> `zerver_stream` -> how many. */
  readonly #counts = new Map<string, Map<string, number>>();
  /** Those that, left as they are, equal one of the new ids and so seem to mean that row. */
  ambiguous = 0;

  /** @param settled where they stand that do not stay, since whoever writes the rows has another value for them */
  constructor(settled: ReadonlySet<string> = new Set()) {
    this.#settled = settled;
  }

  add(where: string, what: string, ambiguous: boolean): void {
    if (this.#settled.has(where)) return;
    const counts = this.#counts.get(where) ?? new Map<string, number>();
    this.#counts.set(where, counts);
    counts.set(what, (counts.get(what) ?? 0) + 1);
    if (ambiguous) this.ambiguous++;
  }

  get total(): number {
    return [...this.#counts.values()].flatMap((counts) => [...counts.values()]).reduce((sum, count) => sum + count, 0);
  }

  toJSON(): object {
    return Object.fromEntries([...this.#counts].sort(([a], [b]) => (a < b ? -1 : 1)).map(([where, counts]) => [where, Object.fromEntries(counts)]));
  }
}
