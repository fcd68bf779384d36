/** Rows of a table, or of a range of it, from the server into a sealed part. */
import type pg from 'pg';
import { copyRows } from '../copy/copy-rows.js';
import { RealmliftError } from '../errors.js';
import type { Part } from './backup-contents.js';
import type { BackupStore } from './backup-store.js';
import { rowCounter } from './row-counter.js';
import type { CopyFormat, RowCount } from './row-counter.js';
import { RowTap } from './row-tap.js';
import { sealPart } from './sealing.js';
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
export async function saveRows(client: pg.Client, { table, select, format }: RowSelection, store: BackupStore, name: string, sealing: Sealing, signal: AbortSignal): Promise<SavedRows> {
  const tap = new RowTap(format);
  // The server may refuse before anybody listens to the tap; its reason comes from `copying`.
  tap.on('error', () => undefined);
  const copying = copyRows(client, select, (chunk) => give(tap, chunk), table, format).then((copied) => {
    tap.end();
    return copied;
  }, (error: unknown) => {
    tap.destroy(error as Error);
    throw error;
  });
  try {
    // If the part fails the rows still on their way are let go, and the caller ends the session.
    const [copied, part] = await Promise.all([copying, sealPart(store, name, tap, sealing, signal)]);
    const count = tap.count();
    if (count.rows !== copied.rows) throw new RealmliftError('ROWS_LOST', 'backup', `${count.rows} of ${copied.rows} rows arrived`, { table });
    return { part, ...count };
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  }
}

/** The promise ends when the stream takes more, or takes nothing any more. */
function give(tap: RowTap, chunk: Buffer): Promise<void> | undefined {
  if (tap.destroyed || tap.write(chunk)) return undefined;
  return new Promise((resolve) => {
    const over = (): void => {
      tap.off('drain', over);
      tap.off('close', over);
      resolve();
    };
    tap.on('drain', over);
    tap.on('close', over);
  });
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
