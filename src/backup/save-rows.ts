/** Rows of a table, or of a range of it, from the server into a sealed part. */
import { pipeline } from 'node:stream/promises';
import type pg from 'pg';
import { to as copyTo } from 'pg-copy-streams';
import { RealmliftError } from '../errors.js';
import { copyError } from '../copy/copy-error.js';
import type { Part } from './backup-contents.js';
import type { BackupStore } from './backup-store.js';
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
  const copy = client.query(copyTo(`COPY (${select}) TO STDOUT (FORMAT ${format})`));
  let refused: unknown;
  copy.on('error', (error) => { refused = error; });
  try {
    const part = await sealPart(store, name, copy, sealing, signal, tap);
    const count = tap.count();
    if (count.rows !== copy.rowCount) throw new RealmliftError('ROWS_LOST', 'backup', `${count.rows} of ${copy.rowCount} rows arrived`, { table });
    return { part, ...count };
  } catch (error) {
    signal.throwIfAborted();
    throw error === refused ? copyError(error, table, select, client.user ?? 'the role') : error;
  }
}

/** Reads what {@link saveRows} would save, and only counts and digests it. */
export async function countRows(client: pg.Client, { table, select, format }: RowSelection, signal: AbortSignal): Promise<RowCount> {
  const tap = new RowTap(format);
  try {
    await pipeline(client.query(copyTo(`COPY (${select}) TO STDOUT (FORMAT ${format})`)), tap, async (rows: AsyncIterable<Buffer>) => {
      for await (const piece of rows) void piece;
    }, { signal });
    return tap.count();
  } catch (error) {
    signal.throwIfAborted();
    throw copyError(error, table, select, client.user ?? 'the role');
  }
}
