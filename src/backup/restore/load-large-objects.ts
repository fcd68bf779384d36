/** Large objects out of a sealed part. The schema made them, empty; here their bytes are put where they were. */
import type pg from 'pg';
import type { Part, TablePart } from '../contents/backup-contents.js';
import type { OpenBackup } from '../contents/find-backup.js';
import { loadRows } from './load-rows.js';

/** @throws RealmliftError as loadRows does; the caller rolls its transaction back then */
export async function loadLargeObjects(client: pg.Client, backup: OpenBackup, part: Part, saved: TablePart, signal: AbortSignal): Promise<void> {
  await client.query('CREATE TEMP TABLE piece (loid oid, place int8, data bytea) ON COMMIT DROP');
  await loadRows(client, backup, part, saved, { sql: 'pg_temp.piece', table: 'pg_largeobject', format: 'binary' }, signal);
  await client.query('SELECT count(pg_catalog.lo_put(loid, place, data)) FROM pg_temp.piece');
}
