/** Rows and bytes of a realm's export, added up as the parts are finished. */
import type { JournalPart } from '../package/journal.js';
import type { ExportPlan } from '../plan/plan-export.js';
import { isMessagesPath } from '../package/export-files.js';
import { partPath } from '../package/part-paths.js';

/** Class of what the ledger reads. */
const LEDGER = 'ledger';

export class Totals {
  /** Rows by table, in the order of the plan whichever is finished first. */
  readonly rows: Map<string, number>;
  /** Bytes of JSON by data class. */
  readonly bytes = new Map<string, number>();
  readonly #classes: ReadonlyMap<string, string>;
  readonly #partClasses: ReadonlyMap<string, string>;

  constructor({ tables }: ExportPlan) {
    this.rows = new Map(tables.map((table) => [table.name, 0]));
    this.#classes = new Map(tables.map((table) => [table.name, table.dataClass]));
    this.#partClasses = new Map(tables.map((table) => [partPath(table.name), table.dataClass]));
  }

  /** Parts of the ledger do not count. */
  add({ path, size, rows = {} }: JournalPart): void {
    const dataClass = this.classOfPart(path);
    if (dataClass === LEDGER) return;
    this.bytes.set(dataClass, (this.bytes.get(dataClass) ?? 0) + size);
    for (const [table, count] of Object.entries(rows)) this.rows.set(table, (this.rows.get(table) ?? 0) + count);
  }

  /** Counts a part in place of another. */
  replace(old: JournalPart | undefined, part: JournalPart, path: string): void {
    if (old !== undefined) this.add({ ...old, size: -old.size, rows: Object.fromEntries(Object.entries(old.rows ?? {}).map(([table, count]) => [table, -count])) });
    this.add({ ...part, path });
  }

  classOf(table: string): string {
    return this.#classes.get(table) ?? LEDGER;
  }

  classOfPart(path: string): string {
    return isMessagesPath(path) ? 'message' : (this.#partClasses.get(path) ?? LEDGER);
  }
}
