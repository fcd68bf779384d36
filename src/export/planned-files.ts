/**
 * The plan of the messages files, in a file of the run: a realm of a hundred million messages has a hundred thousand of them,
 * and segments are made as the workers ask for them.
 */
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import type { Base } from './base/base.js';
import { diskError } from '../package/part-file.js';
import type { PlannedMessageFile } from '../plan/message-files.js';

/** Three doubles: until, rows, how many ids are known. */
const ENTRY = 24;

/** Entries written at once. */
const BATCH = 1024;

export interface PlannedFiles {
  /** Number of messages files. */
  readonly count: number;
  /** Messages in all of them. */
  readonly messages: number;
  /** It is what a base was made by. */
  readonly ofBase?: true;
  /** The files in order, read as they are asked for. */
  read(): AsyncGenerator<PlannedMessageFile> | Generator<PlannedMessageFile>;
}

/** The plan that a base was made by, which has its messages: undefined unless all files are known, and made by this query. @param query digest */
export function plannedAsBase(base: Base, query: string): PlannedFiles | undefined {
  let [count, messages] = [0, 0];
  for (const part of base.messagesFiles()) {
    if (part?.query !== query || part.after === undefined || part.until === undefined || part.rows?.zerver_message === undefined) return undefined;
    count += 1;
    messages += part.rows.zerver_message;
  }
  return count === 0 ? undefined : { count, messages, ofBase: true, read: () => readBase(base) };
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
    const [handle, idsHandle] = await Promise.all([open(path, 'w', 0o600), open(idsPath(path), 'w', 0o600)]);
    try {
      const batch = Buffer.alloc(BATCH * ENTRY);
      let held = 0;
      for await (const { after, until, rows, ids } of files) {
        if (count === 0) first = after;
        batch.writeDoubleLE(until, held);
        batch.writeDoubleLE(rows, held + 8);
        batch.writeDoubleLE(ids?.length ?? 0, held + 16);
        held += ENTRY;
        count++;
        messages += rows;
        if (ids !== undefined) await idsHandle.writeFile(new Uint8Array(new Float64Array(ids).buffer));
        if (held < batch.length) continue;
        await handle.writeFile(batch);
        held = 0;
      }
      await handle.writeFile(batch.subarray(0, held));
    } finally {
      await Promise.all([handle.close(), idsHandle.close()]);
    }
  } catch (error) {
    // What the server says has a SQLSTATE for its code, and is not the disk's.
    throw (error as { syscall?: string }).syscall === undefined ? error : diskError(error, path);
  }
  return { count, messages, read: () => read(path, first) };
}

function idsPath(path: string): string {
  return `${path}-ids`;
}

async function* read(path: string, first: number): AsyncGenerator<PlannedMessageFile> {
  let number = 0;
  let after = first;
  const known = await open(idsPath(path), 'r');
  try {
    for await (const chunk of createReadStream(path, { highWaterMark: BATCH * ENTRY }) as AsyncIterable<Buffer>) {
      for (let at = 0; at < chunk.length; at += ENTRY) {
        const until = chunk.readDoubleLE(at);
        const ids = new Float64Array(chunk.readDoubleLE(at + 16));
        if (ids.length > 0) await known.read(ids);
        yield { number: ++number, after, until, rows: chunk.readDoubleLE(at + 8), ids: ids.length > 0 ? Array.from(ids) : undefined };
        after = until;
      }
    }
  } finally {
    await known.close();
  }
}
