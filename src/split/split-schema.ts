/** The schema of a split: the server's own pg_dump in the snapshot, without owners and rights, whose roles are those of the old server. */
import type { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import type pg from 'pg';
import { withSchema, type Section } from '../backup/pg-dump.js';
import { leaveOut, parseSchemaScript, withoutPsqlCommands, withoutUnknownSettings, type SchemaScript } from '../backup/schema-script.js';
import type { PreparedSplit } from './prepared-split.js';

/** @param target the server that will execute it; undefined for psql, which can pass over what its server does not know */
export async function scriptFor({ pgDump, snapshot, encoding }: PreparedSplit, section: Section, target: pg.Client | undefined): Promise<SchemaScript> {
  const dumped = await withSchema(pgDump, snapshot, section, encoding, async (sql: Readable) => (await buffer(sql)).toString('latin1'));
  const script = leaveOut(dumped, { owners: true, privileges: true });
  if (target === undefined) return parseSchemaScript(withoutPsqlCommands(script));
  const { rows } = await target.query<{ name: string }>('SELECT name FROM pg_catalog.pg_settings');
  return parseSchemaScript(withoutUnknownSettings(script, new Set(rows.map(({ name }) => name))));
}
