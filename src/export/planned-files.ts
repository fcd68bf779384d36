/**
 * The plan of the messages files, in a file of the run: a realm of a hundred million messages has a hundred thousand of them,
 * and segments are made as the workers ask for them.
 */
import { closeSync, openSync, readSync, writeFileSync } from 'node:fs';
import type { Base } from './base/base.js';
import { diskErrorOf } from '../package/part-file.js';
import type { PlannedMessageFile } from '../plan/message-files.js';

/** Three doubles: until, rows, bytes of the list of ids. */
const ENTRY = 24;

/** Entries written at once, with the ids of their files: 8 MB of these. */
const BATCH = 1024;

export interface PlannedFiles {
  /** Number of messages files. */
  readonly count: number;
  /** Messages in all of them. */
  readonly messages: number;
  /** It is what a base was made by. */
  readonly ofBase?: true;
  /** The files in order, read as they are asked for. */
  read(): Generator<PlannedMessageFile>;
  /** The same without their ids. */
  counts(): Generator<PlannedCount>;
}

/** Messages up to this one, from the file before on. */
export type PlannedCount = Pick<PlannedMessageFile, 'until' | 'rows'>;

/** The plan that a base was made by, which has its messages: undefined unless all files are known, and made by this query. @param query digest */
export function plannedAsBase(base: Base, query: string): PlannedFiles | undefined {
  let [count, messages] = [0, 0];
  for (const part of base.messagesFiles()) {
    if (part?.query !== query || part.after === undefined || part.until === undefined || part.rows?.zerver_message === undefined) return undefined;
    count += 1;
    messages += part.rows.zerver_message;
  }
  return count === 0 ? undefined : { count, messages, ofBase: true, read: () => readBase(base), counts: () => readBase(base) };
}

function* readBase(base: Base): Generator<PlannedMessageFile> {
  let number = 0;
  for (const part of base.messagesFiles()) yield { number: ++number, after: part?.after ?? NaN, until: part?.until ?? NaN, rows: part?.rows?.zerver_message ?? NaN };
}

/** Writes the plan to `path` as it is counted, and the ids that are known of files beside it. */
export async function planFiles(path: string, files: AsyncIterable<PlannedMessageFile>): Promise<PlannedFiles> {
  let count = 0;
  let messages = 0;
  let first = 0;
  try {
    const [handle, idsHandle] = [openSync(path, 'w', 0o600), openSync(idsPath(path), 'w', 0o600)];
    try {
      const batch = Buffer.alloc(BATCH * ENTRY);
      let held = 0;
      let lists: string[] = [];
      const write = (): void => {
        writeFileSync(handle, batch.subarray(0, held));
        writeFileSync(idsHandle, lists.join(''));
        [held, lists] = [0, []];
      };
      for await (const { after, until, rows, ids = '' } of files) {
        if (count === 0) first = after;
        batch.writeDoubleLE(until, held);
        batch.writeDoubleLE(rows, held + 8);
        batch.writeDoubleLE(ids.length, held + 16);
        lists.push(ids);
        held += ENTRY;
        count++;
        messages += rows;
        if (held === batch.length) write();
      }
      write();
    } finally {
      for (const each of [handle, idsHandle]) closeSync(each);
    }
  } catch (error) {
    throw diskErrorOf(error, path);
  }
  return { count, messages, read: () => read(path, first), counts: () => entries(path) };
}

function idsPath(path: string): string {
  return `${path}-ids`;
}

function* read(path: string, first: number): Generator<PlannedMessageFile> {
  let [number, after] = [0, first];
  const handle = openSync(idsPath(path), 'r');
  try {
    for (const { until, rows, idsLength } of entries(path)) {
      const ids = Buffer.allocUnsafe(idsLength);
      readSync(handle, ids);
      yield { number: ++number, after, until, rows, ids: idsLength > 0 ? ids.toString('latin1') : undefined };
      after = until;
    }
  } finally {
    closeSync(handle);
  }
}

/** With the bytes that the ids of each take. */
function* entries(path: string): Generator<PlannedCount & { readonly idsLength: number }> {
  const handle = openSync(path, 'r');
  try {
    const batch = Buffer.alloc(BATCH * ENTRY);
    for (let length = readSync(handle, batch); length > 0; length = readSync(handle, batch)) {
      for (let at = 0; at < length; at += ENTRY) yield { until: batch.readDoubleLE(at), rows: batch.readDoubleLE(at + 8), idsLength: batch.readDoubleLE(at + 16) };
    }
  } finally {
    closeSync(handle);
  }
}
