/** Large objects out of a sealed part. The schema made them, empty; here their bytes are put where they were. */
import type pg from 'pg';
import type { Part, TablePart } from '../contents/backup-contents.js';
import type { OpenBackup } from '../contents/find-backup.js';
import { loadRows } from './load-rows.js';

/** Modes of lo_open and lo_lseek64. src/include/libpq/libpq-fs.h */
const READ_AND_WRITE = 0x60000;
const FROM_END = 2;

/** A piece without bytes says how long its object is. @throws RealmliftError as loadRows does; the caller rolls its transaction back then */
export async function loadLargeObjects(client: pg.Client, backup: OpenBackup, part: Part, saved: TablePart, signal: AbortSignal): Promise<void> {
  await client.query('CREATE TEMP TABLE piece (loid oid, place int8, data bytea) ON COMMIT DROP');
  await loadRows(client, backup, part, saved, { sql: 'pg_temp.piece', table: 'pg_largeobject', format: 'binary' }, signal);
  await client.query(`
    SELECT count(CASE WHEN octet_length(data) > 0 THEN pg_catalog.lo_put(loid, place, data)::text ELSE (
      SELECT pg_catalog.lo_truncate64(object, place)::text FROM pg_catalog.lo_open(loid, ${READ_AND_WRITE}) AS object
      WHERE pg_catalog.lo_lseek64(object, 0, ${FROM_END}) < place) END)
    FROM pg_temp.piece`);
}
