/** The messages files of one target of a set, put together from the spools of the ranges. */
import { join } from 'node:path';
import { MESSAGES_PER_FILE } from '../../plan/message-files.js';
import { PartFile } from '../../package/part-file.js';
import { indexedRows } from '../spools/message-index.js';
import { messagesPath } from '../../package/export-files.js';
import type { JournalPart } from '../../package/journal.js';
import type { FinishedPart } from '../segments/finished-part.js';
import { digestOfList } from '../segments/id-list.js';
import type { Spool } from '../spools/spool-format.js';
import { SpoolReader, type SpooledGroup } from '../spools/spool-reader.js';
import { writeInOrder } from '../spools/spool-merge.js';

export interface TargetMessages {
  /** Of consecutive ranges of ids. */
  readonly messages: readonly Spool[];
  readonly usermessages: readonly Spool[];
  readonly targets: number;
  /** Names of the two tables. */
  readonly tables: readonly [messages: string, usermessages: string];
}

export interface SetMessagesFile extends FinishedPart, Pick<JournalPart, 'after' | 'until'> {}

/** Spools stay open from one target to the next. */
const reader = new SpoolReader();

/**
 * Writes the files under `directory`, an empty one where there is no message. They are flushed to the disk by the caller.
 * @param ordinal of the target @param first number of its first file among those of the set
 */
export async function writeMessagesFiles(set: TargetMessages, ordinal: number, first: number, directory: string): Promise<SetMessagesFile[]> {
  const parts: SetMessagesFile[] = [];
  const rows = rowsOf(set, ordinal);
  for (let more = true; more; ) {
    const path = messagesPath(parts.length + 1);
    const file = new PartFile(join(directory, path));
    try {
      file.writeText(`{"${set.tables[0]}":[`);
      const ids = rows.copy(file, MESSAGES_PER_FILE);
      const count = ids.length;
      file.writeText(`],"${set.tables[1]}":[`);
      const usermessages = count === 0 ? 0 : copyUsermessages(set, first + parts.length, file);
      file.writeText(']}');
      const range = count === 0 ? {} : { after: parts.at(-1)?.until ?? Math.min(0, (ids[0] as number) - 1), until: ids.at(-1), ids: digestOfList(ids.join()) };
      parts.push({ path, ...(await file.finish(false)), rows: { [set.tables[0]]: count, [set.tables[1]]: usermessages }, ...range });
    } catch (error) {
      file.abandon();
      throw error;
    }
    more = rows.more();
  }
  return parts;
}

/** The target's messages as one stream that can be cut behind any row. */
function rowsOf({ messages, targets }: TargetMessages, ordinal: number): { copy(file: PartFile, limit: number): number[]; more(): boolean } {
  const lengths = (function* () {
    for (const spool of messages) {
      let inSpool = 0;
      for (const { id, length } of indexedRows(reader, spool, targets, ordinal)) yield { id, length, first: inSpool++ === 0 };
    }
  })();
  const pieces = (function* () {
    for (const spool of messages) {
      const found = reader.find(spool, ordinal);
      if (found !== undefined) yield* reader.read(found);
    }
  })();
  let next = lengths.next();
  let piece: Buffer = Buffer.alloc(0);
  /** Takes so many bytes of the stream. */
  const take = (bytes: number, to: (part: Buffer) => void): void => {
    for (let left = bytes; left > 0;) {
      if (piece.length === 0) {
        const read = pieces.next();
        if (read.done === true) throw new Error('a spool of messages is cut short');
        piece = read.value;
      }
      const part = piece.subarray(0, left);
      to(part);
      piece = piece.subarray(part.length);
      left -= part.length;
    }
  };
  return {
    copy(file, limit) {
      const ids: number[] = [];
      for (; next.done !== true && ids.length < limit; ids.push(next.value.id), next = lengths.next()) {
        // Within a spool rows have a comma before them, from one to the next they have none.
        if (!next.value.first) take(1, () => undefined);
        if (ids.length > 0) file.writeText(',');
        take(next.value.length, (part) => file.write(part));
      }
      return ids;
    },
    more: () => next.done !== true,
  };
}

function copyUsermessages({ usermessages }: TargetMessages, group: number, file: PartFile): number {
  const found = usermessages.map((spool) => reader.find(spool, group)).filter((each): each is SpooledGroup => each !== undefined);
  writeInOrder(reader, found, (bytes) => file.write(bytes));
  return found.reduce((sum, { rows }) => sum + rows, 0);
}
