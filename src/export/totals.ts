/** Rows and bytes of a realm's export, added up as the parts are finished. */
import type { JournalPart } from '../package/journal.js';
import type { ExportPlan } from '../plan/plan-export.js';
import { isMessagesPath, partPath } from './part-paths.js';

export class Totals {
  /** Rows by table, in the order of the plan whichever is finished first. */
  readonly rows: Map<string, number>;
  /** Bytes of JSON by data class. */
  readonly bytes = new Map<string, number>();
  readonly #classes: ReadonlyMap<string, string>;

  constructor(plan: ExportPlan) {
    this.rows = new Map(plan.tables.map((table) => [table.name, 0]));
    this.#classes = new Map(plan.tables.map((table) => [partPath(table.name), table.dataClass]));
  }

  /** Parts of the ledger and pulled files do not count. */
  add({ path, size, rows = {} }: JournalPart): void {
    const dataClass = isMessagesPath(path) ? 'message' : this.#classes.get(path);
    if (dataClass === undefined) return;
    this.bytes.set(dataClass, (this.bytes.get(dataClass) ?? 0) + size);
    for (const [table, count] of Object.entries(rows)) this.rows.set(table, (this.rows.get(table) ?? 0) + count);
  }
}
