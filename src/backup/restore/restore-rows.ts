/**
 * The rows' part of a restore, part by part, by several sessions.
 *
 * A CHECK, a domain or a generated column may call a function that reads another table, or names things without a schema. A part that the
 * server refuses is tried again when all others are there, and where a name was not found with the database's own search path, as long as
 * that brings at least one more of them in.
 */
import type pg from 'pg';
import type { RealmliftError } from '../../errors.js';
import { tellPhase, tellProgress } from '../../narration.js';
import { runTasks } from '../../snapshot/session-pool.js';
import { isNameUnknown } from '../../snapshot/unqualified-names.js';
import { partNamed } from '../contents/backup-contents.js';
import type { Contents, Part, SavedTable, TablePart } from '../contents/backup-contents.js';
import type { OpenBackup } from '../contents/find-backup.js';
import { qualified } from '../source/source-catalog.js';
import { loadLargeObjects } from './load-large-objects.js';
import { loadRows } from './load-rows.js';
import type { RestoreJournal } from './restore-journal.js';

/** The step's name. */
export const RESTORED_ROWS = 'restored rows';

interface Load {
  readonly part: Part;
  readonly run: (client: pg.Client, part: Part, signal: AbortSignal) => Promise<void>;
  /** With the database's own search path. */
  readonly withPath: boolean;
}

export interface RowSessions {
  readonly jobs: number;
  readonly connect: () => Promise<pg.Client>;
  /** The database's own search path, in SQL; empty for none. */
  readonly path: string;
}

/** @throws RealmliftError ROWS_REFUSED naming the table, BACKUP_DAMAGED */
export async function restoreRows(backup: OpenBackup, { jobs, connect, path }: RowSessions, journal: RestoreJournal, stop: AbortSignal): Promise<void> {
  tellPhase(RESTORED_ROWS, 'bytes', loads(backup).reduce((sum, { part }) => sum + part.bytes, 0));
  for (let left = loads(backup); left.length > 0;) {
    const again: Load[] = [];
    const refusals: unknown[] = [];
    await runTasks(left.map((load) => async (client: pg.Client, signal: AbortSignal) => {
      try {
        await journal.step(client, load.part.name, async () => {
          if (load.withPath) await client.query(`SET LOCAL search_path = pg_catalog, ${path}`);
          await load.run(client, load.part, signal);
        });
        tellProgress(load.part.bytes);
      } catch (error) {
        if (!isRefusal(error)) throw error;
        refusals.push(error);
        again.push({ ...load, withPath: load.withPath || (path !== '' && isNameUnknown(error.cause)) });
      }
    }), jobs, connect, stop);
    const paths = (all: readonly Load[]): number => all.filter(({ withPath }) => withPath).length;
    if (again.length === left.length && paths(again) === paths(left)) throw refusals[0];
    left = again;
  }
}

/** The server's own no, which may be another one when other rows are there; not a failure of server or disk. */
function isRefusal(error: unknown): error is RealmliftError {
  const { code, cause } = error as RealmliftError;
  return code === 'ROWS_REFUSED' && /^(2|3F|42|P0)/.test((cause as { code?: string }).code ?? '');
}

/** The largest first, so that no session is left alone with one at the end. */
function loads(backup: OpenBackup): Load[] {
  const { contents } = backup;
  const rows = contents.tables.flatMap((table) => table.parts.map((saved): Load => ({ part: partNamed(contents, saved.part), run: tableLoader(backup, table, saved), withPath: false })));
  const pages = contents.largeObjects.map((saved): Load => ({ part: partNamed(contents, saved.part), run: pageLoader(backup, saved), withPath: false }));
  return [...rows, ...pages].sort((a, b) => b.part.bytes - a.part.bytes);
}

function tableLoader(backup: OpenBackup, table: SavedTable, saved: TablePart): Load['run'] {
  return (client, part, signal) => {
    const columns = table.columns.map((column) => client.escapeIdentifier(column)).join(', ');
    const target = { sql: `${qualified(client, table.root ?? table)}${columns === '' ? '' : ` (${columns})`}`, table: `${table.schema}.${table.name}`, format: table.format, encoding: backup.contents.source.rowsIn };
    return loadRows(client, backup, part, saved, target, signal);
  };
}

function pageLoader(backup: OpenBackup, saved: TablePart): Load['run'] {
  return (client, part, signal) => loadLargeObjects(client, backup, part, saved, signal);
}

/** Bytes of a table's parts, by `schema.name`. */
export function storedSizes(contents: Contents): Map<string, number> {
  return new Map(contents.tables.map((table) => [`${table.schema}.${table.name}`, table.parts.reduce((sum, { part }) => sum + partNamed(contents, part).bytes, 0)]));
}
