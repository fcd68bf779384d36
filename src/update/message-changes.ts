/**
 * What differs in the messages files. A file that both exports have, byte for byte, is not read. Of the others, which hold all that differs,
 * each later one is laid beside the earlier ones of the same messages, and rows of equal bytes are passed over: an equal row has equal
 * values, as long as no id of it has become another.
 */
import { setImmediate } from 'node:timers/promises';
import type pg from 'pg';
import { tellProgress } from '../narration.js';
import { MESSAGES, USERMESSAGES } from '../load/source/load-source.js';
import { takeIds } from '../load/server/reserved-ids.js';
import { layoutOf, type Schema } from '../load/rows/table-layout.js';
import { eachTableFile } from '../pipe/opened-tables.js';
import { RowFields } from '../json/row-fields.js';
import type { TableFile } from '../pipe/table-file.js';
import { refuseRange } from '../remap/assignment.js';
import { RowWriter } from './encoded-rows.js';
import { RangeList, eachId } from './range-list.js';
import type { IdRange } from '../load/server/load-journal.js';
import type { RowChanges } from './row-changes.js';
import { ownIds, type BoundedFile, type Side } from './sides.js';
import { earlierRows, type EarlierRow } from './earlier-rows.js';

export interface MessageDifference {
  readonly client: pg.Client;
  readonly schema: Schema;
  readonly earlier: Side;
  readonly later: Side;
  readonly earlierFiles: readonly BoundedFile[];
  readonly laterFiles: readonly BoundedFile[];
  /** Compare what rows would be on the new server, for ids of messages have become others. */
  readonly thorough: boolean;
}

/** @returns ids of the usermessages, in the order of the later export */
export async function changeMessages(difference: MessageDifference, changes: RowChanges, signal: AbortSignal): Promise<readonly IdRange[]> {
  const { earlier, later, earlierFiles, laterFiles, thorough } = difference;
  const same = thorough ? new Map<string, BoundedFile>() : sameFiles(earlierFiles, laterFiles);
  const differing = earlierFiles.filter(({ listed }) => !same.has(listed.sha256));
  const ids = new RangeList(USERMESSAGES);
  let above = -Infinity;
  const last = laterFiles.findLast(({ listed }) => !same.has(listed.sha256));
  for (const file of laterFiles) {
    signal.throwIfAborted();
    await setImmediate();
    const twin = same.get(file.listed.sha256);
    if (twin !== undefined) for (let n = 1; n <= twin.usermessages; n++) ids.add(earlier.ids.nth(USERMESSAGES, twin.usermessagesBefore + n));
    else {
      // Messages between this file and the one before are gone, and so are those behind the last.
      const upTo = file === last ? Infinity : file.last;
      const beside = differing.filter((each) => each.last > above && each.first <= upTo);
      for (const table of eachTableFile(later.source.source, [file.listed])) await new FilePair(difference, changes, table, beside, [above, upTo]).compare(ids);
      above = upTo;
    }
    tellProgress(file.listed.size);
    if (changes.isFull) await changes.flush();
  }
  if (last === undefined) for (const row of [MESSAGES, USERMESSAGES].flatMap((table) => [...removed(difference, table, differing)])) changes.remove(row.table, row.id);
  return ids.finish();
}

/** Files that both have, by their digest: two of one export never have the same. */
function sameFiles(earlier: readonly BoundedFile[], later: readonly BoundedFile[]): Map<string, BoundedFile> {
  const found = new Map(earlier.map((file) => [file.listed.sha256, file]));
  const wanted = new Set(later.map(({ listed }) => listed.sha256));
  return new Map([...found].filter(([digest]) => wanted.has(digest)));
}

function* removed({ earlier }: MessageDifference, table: string, files: readonly BoundedFile[]): Generator<{ readonly table: string; readonly id: number }> {
  for (const { id } of earlierRows(table, earlier, files, [-Infinity, Infinity])) yield { table, id };
}

/** A later file, and the earlier ones that have messages of its range. */
class FilePair {
  readonly #difference: MessageDifference;
  readonly #changes: RowChanges;
  readonly #file: TableFile;
  readonly #beside: readonly BoundedFile[];
  readonly #range: readonly [number, number];
  readonly #fields = new RowFields();

  constructor(difference: MessageDifference, changes: RowChanges, file: TableFile, beside: readonly BoundedFile[], range: readonly [number, number]) {
    [this.#difference, this.#changes, this.#file, this.#beside, this.#range] = [difference, changes, file, beside, range];
  }

  /** @param ids takes those of the file's usermessages */
  async compare(ids: RangeList): Promise<void> {
    for (const table of this.#file.tables) if (table !== MESSAGES && table !== USERMESSAGES) throw new Error(`messages files have a table ${table}`);
    const [earlier, later] = [this.#difference.earlier, this.#difference.later];
    const messages = this.#writers(MESSAGES, ownIds(MESSAGES, earlier), ownIds(MESSAGES, later));
    for (const { row, was } of this.#matched(MESSAGES)) {
      if (was !== undefined && row.equals(was.row) && (messages === undefined || !this.#differs(messages, row, was))) continue;
      messages?.later.take(row);
      if (was === undefined) this.#changes.add(messages?.later as RowWriter);
      else this.#changes.change(was.id, messages?.later as RowWriter);
    }
    await this.#usermessages(ids);
  }

  /** Those that come need ids, and how many come is known when all were compared. */
  async #usermessages(ids: RangeList): Promise<void> {
    const { client, schema: { tables }, later } = this.#difference;
    const found = new Float64Array(this.#file.count(USERMESSAGES));
    const written = new Uint8Array(found.length);
    let [n, fresh, changed] = [0, 0, 0];
    let present = NaN;
    const writers = this.#writers(USERMESSAGES, { next: () => present }, { next: () => present });
    for (const { row, was } of this.#matched(USERMESSAGES)) {
      present = was?.id ?? NaN;
      const equal = was !== undefined && row.equals(was.row) && (writers === undefined || !this.#differs(writers, row, was));
      found[n] = present;
      if (!equal) [written[n], changed] = [1, changed + 1];
      if (was === undefined) fresh++;
      n++;
    }
    const taken = fresh === 0 ? [] : await takeIds(client, tables, USERMESSAGES, fresh);
    for (const range of taken) refuseRange(USERMESSAGES, range.first + range.count - 1, later.ids);
    const next = eachId(taken);
    const isNew = found.map((id) => (Number.isNaN(id) ? 1 : 0));
    for (let at = 0; at < found.length; at++) {
      if (isNew[at] === 1) found[at] = next.next().value as number;
      ids.add(found[at] as number);
    }
    if (changed === 0) return;
    n = 0;
    for (const row of this.#file.rows(USERMESSAGES)) {
      if (written[n] === 1) {
        present = found[n] as number;
        writers?.later.take(row);
        if (isNew[n] === 1) this.#changes.add(writers?.later as RowWriter);
        else this.#changes.change(present, writers?.later as RowWriter);
      }
      n++;
    }
  }

  /** The rows of the later file, each with the one that it was; those of the earlier that have none are removed. Both are sorted by id. */
  *#matched(table: string): Generator<{ readonly row: Buffer; readonly was: EarlierRow | undefined }> {
    const before = earlierRows(table, this.#difference.earlier, this.#beside, this.#range);
    let was = before.next();
    for (const row of this.#file.rows(table)) {
      const old = this.#fields.split(row).integerOf('id');
      for (; was.done !== true && !(was.value.old >= old); was = before.next()) this.#changes.remove(table, was.value.id);
      if (was.done === true || was.value.old !== old) yield { row, was: undefined };
      else {
        yield { row, was: was.value };
        was = before.next();
      }
    }
    for (; was.done !== true; was = before.next()) this.#changes.remove(table, was.value.id);
  }

  #writers(table: string, earlierOwn: ReturnType<typeof ownIds>, laterOwn: ReturnType<typeof ownIds>): { readonly earlier: RowWriter; readonly later: RowWriter } | undefined {
    const { schema, earlier, later } = this.#difference;
    const layout = layoutOf(table, this.#file, schema, later.rules);
    return layout === undefined ? undefined : { earlier: new RowWriter(table, layout, earlier, earlierOwn), later: new RowWriter(table, layout, later, laterOwn) };
  }

  /** Rows of equal bytes, whose references may have become others. */
  #differs({ earlier, later }: { readonly earlier: RowWriter; readonly later: RowWriter }, row: Buffer, was: EarlierRow): boolean {
    if (!this.#difference.thorough) return false;
    earlier.take(was.row);
    later.take(row);
    return earlier.id !== later.id || !earlier.compared().equals(later.compared());
  }
}
