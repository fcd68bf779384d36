/** Rows of messages files of the earlier export, with the ids that they have on the new server. */
import { MESSAGES, USERMESSAGES } from '../load/source/load-source.js';
import { eachTableFile } from '../pipe/opened-tables.js';
import { RowFields } from '../json/row-fields.js';
import { UNCHANGED } from '../remap/id-space.js';
import type { BoundedFile, Side } from './sides.js';

export interface EarlierRow {
  readonly old: number;
  readonly id: number;
  /** It holds until the next is asked for. */
  readonly row: Buffer;
}

/**
 * By old id.
 *
 * @param files that have messages of the range, in their order
 * @param range messages whose rows are wanted: above the first and up to the second
 */
export function* earlierRows(table: string, side: Side, files: readonly BoundedFile[], range: readonly [number, number]): Generator<EarlierRow, void> {
  if (table === MESSAGES) for (const file of files) yield* fileRows(table, side, file, range);
  else yield* merged(files.map((file) => fileRows(table, side, file, range)));
}

function* fileRows(table: string, { source, rewrite, ids }: Side, file: BoundedFile, [above, upTo]: readonly [number, number]): Generator<EarlierRow, void> {
  const fields = new RowFields();
  const messages = rewrite.survey.spaces.get(MESSAGES) ?? UNCHANGED;
  const isWhole = file.first > above && file.last <= upTo;
  for (const opened of eachTableFile(source.source, [file.listed])) {
    let count = file.usermessagesBefore;
    for (const row of opened.rows(table)) {
      count++;
      const old = fields.split(row).integerOf('id');
      const message = table === MESSAGES ? old : isWhole ? NaN : fields.integerOf('message');
      if (message <= above || message > upTo) continue;
      yield { old, row, id: table === USERMESSAGES ? ids.nth(table, count) : messages.get(old) ?? old };
    }
  }
}

/** In each file usermessages are sorted by id, but one may be received long after its message was sent. */
function* merged(sources: readonly Generator<EarlierRow, void>[]): Generator<EarlierRow, void> {
  if (sources.length === 1) return yield* sources[0] as Generator<EarlierRow, void>;
  const heads = sources.map((rows) => ({ rows, next: rows.next() }));
  for (;;) {
    let least: (typeof heads)[number] | undefined;
    for (const head of heads) {
      if (head.next.done !== true && (least?.next.done !== false || head.next.value.old < least.next.value.old)) least = head;
    }
    if (least === undefined || least.next.done === true) return;
    yield least.next.value;
    least.next = least.rows.next();
  }
}
