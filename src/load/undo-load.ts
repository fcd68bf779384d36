/**
 * Removes an unfinished load: its files, and in one transaction every row whose id it took, and what a server in use may have added to its
 * realm meanwhile, such as hourly statistics.
 */
import type pg from 'pg';
import { runTasks } from '../snapshot/session-pool.js';
import { inTransaction } from '../copy/copy-in-journal.js';
import { EXIT, RealmliftError } from '../errors.js';
import { makeAgain } from './server/bare-tables.js';
import { openFileTarget } from './files/open-file-target.js';
import { ownPrefixes } from './files/load-files.js';
import { LoadJournal, lockLoad, type IdRange } from './server/load-journal.js';
import { placeOf, type LoadRequest } from './load-request.js';
import { LISTS } from './rows/table-loader.js';
import { idColumn, spaceOf } from '../remap/reference-catalog.js';
import { stepSession, withTargetSession } from './server/target-session.js';
import { qualify, readTargetTables, TO_INDEX, type TargetTables } from './server/target-tables.js';

export type UndoRequest = Pick<LoadRequest, 'target' | 'subdomain' | 'files' | 'fileJobs' | 'jobs'>;

export interface UndoResult {
  readonly rows: number;
  readonly files: number;
  /** Clients that the load made and others use by now. */
  readonly clientsKept: number;
}

/** Its rows have the ids of another table's. */
const CHILD = 'zerver_namedusergroup';

/** @throws RealmliftError LOAD_UNKNOWN, LOAD_OF_ANOTHER, UNDO_REFUSED, those of the connection and the files */
export async function undoLoad(request: UndoRequest, stop: AbortSignal): Promise<UndoResult> {
  return withTargetSession(request.target, 'undo', stop, async (client, schema) => {
    await lockLoad(client, request.subdomain);
    const journal = await LoadJournal.find(client, request.subdomain);
    if (journal === undefined) {
      if ((await client.query('SELECT FROM zerver_realm WHERE string_id = $1', [request.subdomain])).rowCount === 0) return { rows: 0, files: 0, clientsKept: 0 };
      throw new RealmliftError('LOAD_UNKNOWN', 'load', `the realm ${request.subdomain} of the new server is none of an unfinished load`, { hint: "once loaded it is the server's own, which Zulip's manage.py delete_realm removes", exit: EXIT.nothingExported });
    }
    const tables = await readTargetTables(client, schema);
    const ranges = await journal.ids(client);
    const realm = journal.isDone('files begin') ? realmOfFiles(journal, request, ranges) : undefined;
    // Rows are found by the indexes that the load took away.
    const { indexes, keys } = await makeAgain(client, journal);
    const session = (): Promise<pg.Client> => stepSession(request.target, schema, request.subdomain, stop);
    await runTasks(indexes, request.jobs, session, stop);
    await runTasks(keys, 1, session, stop);
    await client.query('SET synchronous_commit = on');
    await journal.forgetFiles(client);
    return removeAll(client, journal, tables, ranges, async () => (realm === undefined ? 0 : removeFilesOf(realm, request, stop)));
  });
}

/** The realm below whose number all files of the load lie. */
function realmOfFiles(journal: LoadJournal, { files }: UndoRequest, ranges: readonly IdRange[]): number | undefined {
  const { identity } = journal;
  if (placeOf(files) !== identity.files) {
    throw new RealmliftError('LOAD_OF_ANOTHER', 'load', `the files of this load went to ${identity.files}`, { hint: 'name that place, so that they are removed there', exit: EXIT.nothingExported });
  }
  return ranges.find(({ table }) => table === 'zerver_realm')?.first;
}

async function removeFilesOf(realm: number, { files, fileJobs }: UndoRequest, stop: AbortSignal): Promise<number> {
  const target = await openFileTarget(files, fileJobs, undefined, stop);
  try {
    let removed = 0;
    for (const [area, prefix] of ownPrefixes(realm)) removed += await target.remove(area, [prefix], [], stop);
    return removed;
  } finally {
    target.close();
  }
}

/** @param removeFiles once it is certain that no row stays; before the rows' removal is seen, so that a run that stops there can be repeated */
async function removeAll(client: pg.Client, journal: LoadJournal, tables: TargetTables, ranges: readonly IdRange[], removeFiles: () => Promise<number>): Promise<UndoResult> {
  let [rows, files, clientsKept] = [0, 0, 0];
  await inTransaction(client, async () => {
    const remove = async (table: string, condition: string, values: readonly unknown[]): Promise<number> => {
      const { rowCount } = await client.query(`DELETE FROM ${qualify(client, tables.schema, table)} WHERE ${condition}`, [...values]);
      return rowCount ?? 0;
    };
    const inRange = (column: string, { first, count }: IdRange): readonly [string, number[]] => [`${client.escapeIdentifier(column)} BETWEEN $1 AND $2`, [first, first + count - 1]];
    const attachments = ranges.filter(({ table }) => table === 'zerver_attachment');
    for (const list of Object.keys(LISTS)) if (tables.columns.has(list)) for (const range of attachments) rows += await remove(list, ...inRange('attachment_id', range));
    if (tables.columns.has(CHILD)) for (const range of ranges.filter(({ table }) => table === spaceOf(CHILD))) rows += await remove(CHILD, ...inRange(idColumn(CHILD), range));
    // Children before parents, as far as the order of a load had it so.
    for (const range of [...ranges].reverse()) if (range.table !== 'zerver_realm') rows += await remove(range.table, ...inRange('id', range));
    if (tables.columns.has(TO_INDEX.table)) for (const range of ranges.filter(({ table }) => table === TO_INDEX.owner)) await remove(TO_INDEX.table, ...inRange(TO_INDEX.column, range));
    for (const { first } of ranges.filter(({ table }) => table === 'zerver_realm')) {
      for (const { table, column } of tables.references.get('zerver_realm') ?? []) rows += await remove(table, `${client.escapeIdentifier(column)} = $1`, [first]);
      rows += await remove('zerver_realm', 'id = $1', [first]);
    }
    const made = await journal.clients(client);
    const unused = (tables.references.get('zerver_client') ?? []).map(({ table, column }) => `NOT EXISTS (SELECT FROM ${qualify(client, tables.schema, table)} AS r WHERE r.${client.escapeIdentifier(column)} = zerver_client.id)`);
    const removedClients = await remove('zerver_client', ['id = ANY ($1)', ...unused].join(' AND '), [made]);
    clientsKept = made.length - removedClients;
    await client.query('SET CONSTRAINTS ALL IMMEDIATE');
    files = await removeFiles();
    await journal.drop(client);
  }).catch((error: unknown) => {
    const { code, table } = error as { code?: string; table?: string };
    if (code !== '23503') throw error;
    throw new RealmliftError('UNDO_REFUSED', 'load', `rows of ${table ?? 'another table'} that the load did not make refer to its rows; nothing was removed`, { table, hint: 'somebody used the realm meanwhile: look at them, remove them, and undo again', cause: error });
  });
  return { rows, files, clientsKept };
}
