/** Rows that were loaded keep their ids; those that came since get new ones from the sequences. */
import type pg from 'pg';
import { EXIT, RealmliftError } from '../errors.js';
import type { IdRange } from '../load/server/load-journal.js';
import { MESSAGES, NOT_LOADED, USERMESSAGES, type LoadSource } from '../load/source/load-source.js';
import { takeIds, type ReservedIds } from '../load/server/reserved-ids.js';
import type { TargetTables } from '../load/server/target-tables.js';
import { RowFields } from '../json/row-fields.js';
import { refuseRange } from '../remap/assignment.js';
import { spaceOf } from '../remap/reference-catalog.js';
import { RangeList, eachId } from './range-list.js';
import { rowNumbers, type Surveyed } from './sides.js';

export interface Assigned {
  /** In the order of the rows of the later export; those of usermessages come with the messages files. */
  readonly ranges: IdRange[];
  /** Messages that had an id and get another: conversations are shown in the order of the ids, and older ones came between. */
  readonly renumbered: number;
}

interface Exports {
  readonly earlier: Surveyed;
  readonly ids: ReservedIds;
  readonly later: Surveyed;
}

/** @throws RealmliftError ROWS_UNSORTED, NO_SEQUENCE, ID_RANGE */
export async function assignIds(client: pg.Client, tables: TargetTables, { earlier, ids, later }: Exports): Promise<Assigned> {
  const ranges: IdRange[] = [];
  let renumbered = 0;
  for (const table of later.source.ids.keys()) {
    if (table === USERMESSAGES) continue;
    const merged = (): Generator<readonly [number, number | undefined]> => keptIds(table, later.survey.spaces.has(table) ? rowNumbers(table, later) : countedRows(table, later.source, () => NaN), earlierIds(table, earlier, ids));
    // From here on all get new ids.
    const from = table === MESSAGES ? firstBetween(merged()) : Infinity;
    let fresh = 0;
    for (const [old, id] of merged()) {
      if (id === undefined || old >= from) fresh++;
      if (id !== undefined && old >= from) renumbered++;
    }
    const taken = fresh === 0 ? [] : await takeIds(client, tables, table, fresh);
    for (const range of taken) refuseRange(table, range.first + range.count - 1, ids);
    const next = eachId(taken);
    const list = new RangeList(table);
    for (const [old, id] of merged()) list.add(id === undefined || old >= from ? next.next().value as number : id);
    ranges.push(...list.finish());
  }
  return { ranges, renumbered };
}

/** The oldest message that came since, if an older one than some that were there; else none. */
function firstBetween(rows: Iterable<readonly [number, number | undefined]>): number {
  let [firstNew, lastKept] = [Infinity, -Infinity];
  for (const [old, id] of rows) {
    if (id !== undefined) lastKept = old;
    else if (firstNew === Infinity) firstNew = old;
  }
  return firstNew < lastKept ? firstNew : Infinity;
}

/** Old ids of the later export, with the ids that the earlier one gave them. Both sides are sorted by the old. */
function* keptIds(table: string, later: Iterable<readonly [number, number]>, earlier: Iterator<readonly [number, number], unknown>): Generator<readonly [number, number | undefined]> {
  let last = -Infinity;
  let there = earlier.next();
  for (const [old] of later) {
    if (!(old > last)) throw unsorted(table);
    last = old;
    while (there.done !== true && there.value[0] < old) there = earlier.next();
    yield [old, there.done !== true && there.value[0] === old ? there.value[1] : undefined];
  }
}

function earlierIds(table: string, { survey, source }: Surveyed, ids: ReservedIds): Iterator<readonly [number, number], unknown> {
  const space = survey.spaces.get(table);
  return (space === undefined ? countedRows(table, source, (n) => ids.nth(table, n)) : space.pairs())[Symbol.iterator]();
}

/** Tables that nothing refers to are numbered by their order. */
function* countedRows(table: string, { files }: LoadSource, nth: (n: number) => number): Generator<readonly [number, number]> {
  const fields = new RowFields();
  let [count, last] = [0, -Infinity];
  for (const file of files) {
    for (const name of file.tables) {
      if (NOT_LOADED.has(name) || spaceOf(name) !== table) continue;
      for (const row of file.rows(name)) {
        const old = fields.split(row).integerOf('id');
        if (!(old > last)) throw unsorted(table);
        last = old;
        yield [old, nth(++count)];
      }
    }
  }
}

function unsorted(table: string): RealmliftError {
  return new RealmliftError('ROWS_UNSORTED', 'load', 'the rows are not sorted by id', { table, hint: 'an update takes exports of realmlift: load this one afresh', exit: EXIT.nothingExported });
}
