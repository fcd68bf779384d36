/** Rows of a table, or of a range of it, from the server into a sealed part. */
import type pg from 'pg';
import { copyRows } from '../copy/copy-rows.js';
import { RealmliftError } from '../errors.js';
import type { Part } from './backup-contents.js';
import type { BackupStore } from './backup-store.js';
import { rowCounter } from './row-counter.js';
import type { CopyFormat, RowCount } from './row-counter.js';
import { RowTap } from './row-tap.js';
import { beginPart } from './sealing.js';
import type { Sealing } from './sealing.js';

export interface RowSelection {
  /** For messages. */
  readonly table: string;
  /** A query without parameters. */
  readonly select: string;
  readonly format: CopyFormat;
}

export interface SavedRows extends RowCount {
  readonly part: Part;
}

/** @throws RealmliftError as copyRows does; ROWS_LOST when the server counted other rows than arrived */
export async function saveRows(client: pg.Client, { table, select, format }: RowSelection, store: BackupStore, name: string, how: Sealing, signal: AbortSignal): Promise<SavedRows> {
  const { compress, part: sealing } = beginPart(store, name, how, signal);
  const tap = new RowTap(format, compress);
  const copying = copyRows(client, select, (chunk) => tap.write(chunk), table, format).then((copied) => {
    tap.end();
    return copied;
  }).catch((error: unknown) => {
    compress.destroy(error as Error);
    throw error;
  });
  try {
    // If the part fails the rows still on their way are let go, and the caller ends the session.
    const [copied, part] = await Promise.all([copying, sealing]);
    const count = tap.count();
    if (count.rows !== copied.rows) throw new RealmliftError('ROWS_LOST', 'backup', `${count.rows} of ${copied.rows} rows arrived`, { table });
    return { part, ...count };
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  }
}

/** Reads what {@link saveRows} would save, and only counts and digests it. */
export async function countRows(client: pg.Client, { table, select, format }: RowSelection, signal: AbortSignal): Promise<RowCount> {
  const counter = rowCounter(format);
  try {
    await copyRows(client, select, (chunk) => {
      signal.throwIfAborted();
      counter.write(chunk);
    }, table, format);
    return counter.finish();
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  }
}
