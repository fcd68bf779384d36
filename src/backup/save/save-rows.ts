/** Rows of a table, or of a range of it, from the server into a sealed part. */
import type pg from 'pg';
import { copyRows } from '../../copy/copy-rows.js';
import { RealmliftError } from '../../errors.js';
import type { Part } from '../contents/backup-contents.js';
import { beginPart } from '../contents/sealing.js';
import type { Sealing } from '../contents/sealing.js';
import { rowCounter } from '../rows/row-counter.js';
import type { CopyFormat, RowCount } from '../rows/row-counter.js';
import { RowTap } from '../rows/row-tap.js';
import type { ObjectSink } from '../store/staging.js';

export interface RowSelection {
  /** For messages. */
  readonly table: string;
  /** A query without parameters. */
  readonly select: string;
  readonly format: CopyFormat;
  /** Of the text, if not that of the session. */
  readonly encoding: string | undefined;
}

export interface SavedRows extends RowCount {
  readonly part: Part;
}

/** A part on its way. */
export interface RowSaving {
  /** Ends when all rows have come and the session is free. */
  readonly sent: Promise<unknown>;
  /** When this fails, rows may still be on their way, which are let go: the caller is to end the session. */
  readonly saved: Promise<SavedRows>;
}

/** `saved` throws RealmliftError as copyRows does; ROWS_LOST when the server counted other rows than arrived. */
export function saveRows(client: pg.Client, { table, select, format, encoding }: RowSelection, store: ObjectSink, name: string, sealing: Sealing, signal: AbortSignal): RowSaving {
  const { compress, part } = beginPart(store, name, sealing, signal);
  const tap = new RowTap(format, compress);
  const copying = copyRows(client, select, (chunk) => tap.write(chunk), table, format, encoding).then((copied) => {
    tap.end();
    return copied;
  }).catch((error: unknown) => {
    compress.destroy(error as Error);
    throw error;
  });
  const saved = Promise.all([copying, part]).then(([copied, stored]) => {
    const count = tap.count();
    if (count.rows !== copied.rows) throw new RealmliftError('ROWS_LOST', 'backup', `${count.rows} of ${copied.rows} rows arrived`, { table });
    return { part: stored, ...count };
  }).catch((error: unknown) => {
    signal.throwIfAborted();
    throw error;
  });
  return { sent: copying, saved };
}

/** Reads what {@link saveRows} would save, and only counts and digests it. */
export async function countRows(client: pg.Client, { table, select, format, encoding }: RowSelection, signal: AbortSignal): Promise<RowCount> {
  const counter = rowCounter(format);
  try {
    await copyRows(client, select, (chunk) => {
      signal.throwIfAborted();
      counter.write(chunk);
    }, table, format, encoding);
    return counter.finish();
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  }
}
