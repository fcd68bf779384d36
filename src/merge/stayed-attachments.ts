/**
 * Attachments that one half left behind while it holds messages that name them: its report says which (sql/ledger). Where another half
 * has the file, these messages belong in the list of its row, of which that half knows its own messages alone.
 */
import { closeSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { digestOf } from '../package/part-file.js';
import { changed } from '../pipe/table-file.js';
import { hasOtherIds } from '../package/remapped.js';
import { CLOSE_ARRAY, CLOSE_OBJECT, COLON, OPEN_ARRAY, OPEN_OBJECT, QUOTE } from '../json/json-bytes.js';
import { JsonScanner } from '../json/json-scanner.js';
import { another } from '../json/json-walk.js';
import { REPORT } from '../package/export-files.js';
import type { LISTS } from './choose-row.js';
import type { MergeInput } from './merge-input.js';

/** Name of the view of the ledger, and of its entry in the reports. */
export const STAYED_ATTACHMENTS = 'attachment_without_file';

type Lists = { readonly [List in (typeof LISTS)[number]]?: readonly number[] };

/** An attachment with the messages that name it. */
export interface StayedAttachment extends Lists {
  readonly id: number;
}

/** By their ids what the reports of several exports say, read side by side. */
export class StayedAttachments {
  readonly #rows: IterableIterator<StayedAttachment>[] = [];
  readonly #present: (StayedAttachment | undefined)[] = [];

  /** @throws RealmliftError EXPORT_CHANGED */
  static async of(inputs: readonly MergeInput[]): Promise<StayedAttachments> {
    const stayed = new StayedAttachments();
    for (const { source: { directory, top, header } } of inputs) {
      const listed = top.get(REPORT);
      // With other ids than its rows a report says nothing of them.
      if (listed === undefined || hasOtherIds(header)) continue;
      const path = join(directory, listed.path);
      if ((await digestOf(path)).sha256 !== listed.sha256) throw changed(listed.path, 'its content is another');
      stayed.#rows.push(readReport(path));
    }
    for (const rows of stayed.#rows) stayed.#present.push(next(rows));
    return stayed;
  }

  /** Takes what the reports say of attachments up to `id`; asked for with rising ids. */
  *upTo(id: number): Generator<StayedAttachment, void> {
    for (;;) {
      const least = Math.min(...this.#present.map((each) => each?.id ?? Infinity));
      if (least > id || least === Infinity) return;
      const of = this.#present.filter((each) => each?.id === least) as StayedAttachment[];
      yield { id: least, messages: united(of.map(({ messages }) => messages)), scheduled_messages: united(of.map((each) => each.scheduled_messages)) };
      this.#rows.forEach((rows, index) => {
        if (this.#present[index]?.id === least) this.#present[index] = next(rows);
      });
    }
  }

  close(): void {
    for (const rows of this.#rows) rows.return?.();
  }
}

/** Ids of several lists, each once and rising. */
export function united(lists: readonly (readonly number[] | undefined)[]): number[] {
  return [...new Set(lists.flatMap((list) => list ?? []))].sort((a, b) => a - b);
}

function next(rows: Iterator<StayedAttachment>): StayedAttachment | undefined {
  const result = rows.next();
  return result.done === true ? undefined : result.value;
}

/** A report may be too long for memory. */
function* readReport(path: string): Generator<StayedAttachment, void> {
  const fd = openSync(path, 'r');
  try {
    const scanner = new JsonScanner();
    scanner.open((target, offset) => readSync(fd, target, offset, target.length - offset, null), path);
    for (const key of members(scanner)) {
      if (key !== 'rows_left_out' || scanner.next() !== OPEN_ARRAY) scanner.skipValue(scanner.next());
      else for (const first of elements(scanner)) if (first === OPEN_OBJECT) yield* entry(scanner); else scanner.skipValue(first);
    }
  } finally {
    closeSync(fd);
  }
}

/** The rows of an entry of `rows_left_out`, if it is ours. */
function* entry(scanner: JsonScanner): Generator<StayedAttachment, void> {
  let ours = false;
  for (const key of members(scanner)) {
    const first = scanner.next();
    if (key === 'what' && first === QUOTE) ours = scanner.string() === STAYED_ATTACHMENTS;
    else if (key === 'rows' && ours && first === OPEN_ARRAY) for (const each of elements(scanner)) yield JSON.parse(scanner.takeValue(each).toString('utf8')) as StayedAttachment;
    else scanner.skipValue(first);
  }
}

/** The keys of the object that begins here; the value of each must be consumed before the next. */
function* members(scanner: JsonScanner): Generator<string, void> {
  scanner.expect(OPEN_OBJECT);
  if (scanner.next() === CLOSE_OBJECT) return scanner.take();
  do {
    if (scanner.next() !== QUOTE) scanner.fail();
    const key = scanner.string();
    scanner.expect(COLON);
    yield key;
  } while (another(scanner, CLOSE_OBJECT));
}

/** The first byte of each element of the array that begins here; each must be consumed before the next. */
function* elements(scanner: JsonScanner): Generator<number, void> {
  scanner.expect(OPEN_ARRAY);
  if (scanner.next() === CLOSE_ARRAY) return scanner.take();
  do yield scanner.next(); while (another(scanner, CLOSE_ARRAY));
}
