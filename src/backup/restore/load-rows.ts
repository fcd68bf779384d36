/** Rows out of a sealed part into a table. */
import { pipeline } from 'node:stream/promises';
import type pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { untilIdle } from '../../copy/copy-in.js';
import { copyOptions } from '../../copy/copy-rows.js';
import { RealmliftError } from '../../errors.js';
import { isNameUnknown } from '../../snapshot/unqualified-names.js';
import type { Part, TablePart } from '../contents/backup-contents.js';
import type { OpenBackup } from '../contents/find-backup.js';
import { openPart } from '../contents/sealing.js';
import { RowCheck } from '../rows/row-check.js';
import type { CopyFormat } from '../rows/row-counter.js';

export interface RowTarget {
  /** Table and columns as COPY takes them. */
  readonly sql: string;
  /** For messages. */
  readonly table: string;
  readonly format: CopyFormat;
  readonly encoding?: string | undefined;
}

/**
 * Copies a part into `target`, in the transaction that the caller has begun and must roll back if this throws.
 *
 * @throws RealmliftError BACKUP_DAMAGED naming the part, ROWS_REFUSED
 */
export async function loadRows(client: pg.Client, { store, open }: OpenBackup, part: Part, expected: TablePart, target: RowTarget, signal: AbortSignal): Promise<void> {
  await openPart(store, part, open, signal, async (plain) => {
    // Again from the start, when the connection to the store broke.
    await client.query('SAVEPOINT part');
    const check = new RowCheck(target.format, expected);
    const copy = client.query(copyFrom(`COPY ${target.sql} FROM STDIN (${copyOptions(target.format, target.encoding)})`));
    const answered = untilIdle(client);
    let refused: unknown;
    copy.on('error', (error) => { refused = error; });
    try {
      await pipeline(plain, (chunks: AsyncIterable<Buffer>) => check.pass(chunks), copy, { signal });
    } catch (error) {
      // The server still has to answer that it gave the COPY up.
      await answered;
      await client.query('ROLLBACK TO SAVEPOINT part');
      signal.throwIfAborted();
      throw error === refused ? refusedRows(error, target.table) : error;
    }
    if (copy.rowCount !== expected.rows) throw new RealmliftError('ROWS_LOST', 'restore', `the server took ${copy.rowCount} of ${expected.rows} rows`, { table: target.table });
  });
}

/** The server's message speaks of the constraint or the file; its detail would quote the row. */
function refusedRows(cause: unknown, table: string): RealmliftError {
  const { code, message } = cause as { code?: string; message: string };
  const hint = isNameUnknown(cause) ? 'if a function names it without a schema: ALTER FUNCTION … SET search_path = … in the unfinished database; then run the restore again'
    : code === CHECK_VIOLATION ? 'drop the constraint in the unfinished database, then run the restore again; added anew as NOT VALID it holds for later rows'
      : code === DISK_FULL ? 'make room on the disk of the database server, then run the restore again' : undefined;
  return new RealmliftError('ROWS_REFUSED', 'restore', `the server refuses the rows (${code ?? 'connection lost'}): ${code?.startsWith('22') === true ? 'a value' : message}`, { table, hint, cause });
}

/** SQLSTATE. Of a CHECK whose function was changed since, or reads what others have changed, the source has rows that it refuses. */
const CHECK_VIOLATION = '23514';
const DISK_FULL = '53100';
