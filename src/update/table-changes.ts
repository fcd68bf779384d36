/** What differs in the tables of realm.json and the like: both exports' rows side by side, by their old ids. */
import { setImmediate } from 'node:timers/promises';
import { NOT_LOADED } from '../load/source/load-source.js';
import type { Schema } from '../load/rows/table-layout.js';
import { RowCursor, type RowWriter } from './encoded-rows.js';
import type { RowChanges } from './row-changes.js';
import { ownIds, type Side } from './sides.js';

/** Rows of which a load finds values when all is there: they are written again, so that it finds them anew. */
const FOUND_ANEW: ReadonlySet<string> = new Set(['zerver_realm', 'zerver_stream']);

export interface TableDifference {
  readonly schema: Schema;
  readonly earlier: Side;
  readonly later: Side;
  /** Users whose rows the load, or a job of the server, changed after they had come. */
  readonly amended: ReadonlySet<number>;
}

export async function changeTables({ schema, earlier, later, amended }: TableDifference, changes: RowChanges): Promise<void> {
  for (const name of new Set([...namesOf(earlier), ...namesOf(later)])) {
    const table = schema.registry.tables.get(name)?.table ?? name;
    // Reading is synchronous: between two tables the program hears signals and its connections.
    await setImmediate();
    const from = new RowCursor(name, earlier.source.files, earlier, schema, ownIds(table, earlier));
    const to = new RowCursor(name, later.source.files, later, schema, ownIds(table, later));
    const isForced = ({ id }: RowWriter): boolean => FOUND_ANEW.has(table) || (table === 'zerver_userprofile' && amended.has(id));
    while (from.present !== undefined || to.present !== undefined) {
      const [was, is] = [from.present, to.present];
      if (is === undefined || (was !== undefined && was.old < is.old)) {
        changes.remove(table, (was as RowWriter).id);
        from.advance();
      } else if (was === undefined || is.old < was.old) {
        changes.add(is);
        to.advance();
      } else {
        if (isForced(is) || was.id !== is.id || !was.compared().equals(is.compared())) changes.change(was.id, is);
        from.advance();
        to.advance();
      }
      if (changes.isFull) await changes.flush();
    }
  }
}

function namesOf({ source: { files } }: Side): string[] {
  return files.flatMap(({ tables }) => tables).filter((name) => !NOT_LOADED.has(name));
}
