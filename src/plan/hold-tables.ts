/** The tables that an export reads are held before the first of them is read. */
import type pg from 'pg';
import { holdTables, type LockPatience } from '../snapshot/table-locks.js';
import { enterSnapshot, type Snapshot } from '../snapshot/snapshot.js';
import { findSchema } from './views/catalog.js';
import { loadRegistry } from './views/registry.js';
import { readByExports, VIEW_SCHEMA } from './views/safe-views.js';

/** Read where the role may, for it claims files too. */
const CLAIMS = 'zerver_archivedattachment';

export interface HeldTables {
  /** Of the rows of all of them. */
  readonly bytes: number;
  /** The session that looked at them from outside is in the snapshot too, for withSession. */
  readonly session: Promise<void>;
}

/** @param sessions there will be some beside the snapshot's own @throws RealmliftError NOT_ZULIP; as holdTables */
export async function holdExportedTables(snapshot: Snapshot, patience: LockPatience, sessions = true): Promise<HeldTables> {
  const { client } = snapshot;
  const schema = await findSchema(client);
  // A role that may not enter Zulip's schema reads through the installed views, and holds the tables by holding these.
  const { rows } = await client.query<{ oid: number }>(`
    SELECT c.oid::int8::float8 AS oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relname = ANY ($1) AND (n.nspname = $2 AND c.relkind IN ('r', 'p') OR n.nspname = $3 AND c.relkind = 'v' AND NOT has_schema_privilege($2, 'USAGE'))`,
    [[...readByExports(loadRegistry()), CLAIMS], schema, VIEW_SCHEMA]);
  let session = Promise.resolve();
  const keep = (outside: pg.Client): void => {
    session = enterSnapshot(outside, snapshot).then(() => void snapshot.idle.push(outside));
    session.catch(() => outside.end().catch(() => undefined));
  };
  const bytes = await holdTables(snapshot, rows.map(({ oid }) => oid), patience, sessions ? keep : undefined);
  return { bytes, session };
}
