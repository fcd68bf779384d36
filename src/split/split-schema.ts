/** The schema of a split: the server's own pg_dump in the snapshot, without owners, rights and tablespaces, which are those of the old server. */
import type { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import type pg from 'pg';
import { withSchema, type Section } from '../backup/schema/pg-dump.js';
import { leaveOut, parseSchemaScript, restrictKeyOf, withoutUnknownSettings, withoutUnknownTablespaces, type SchemaEntry, type SchemaScript } from '../backup/schema/schema-script.js';
import type { Snapshot } from '../snapshot/snapshot.js';

export interface SchemaSource {
  readonly snapshot: Snapshot;
  readonly pgDump: string;
  /** Of the source. */
  readonly encoding: string;
}

/** How the old server is tied to others, with what it is let in by there; and rights on rows, which are those of its roles. */
const STAYS = /^(?:USER MAPPING|SUBSCRIPTION|PUBLICATION|POLICY$|ROW SECURITY$)/;

export interface SplitSchema {
  readonly preData: SchemaScript;
  readonly postData: SchemaScript;
  /** Event triggers, which would see all that is made after them. */
  readonly last: readonly SchemaEntry[];
  /** Of pg_dump, where it protects whoever gives its scripts to psql: see restrictKeyOf. */
  readonly restrictKey: string | undefined;
  /** What was left out, in words. */
  readonly warnings: readonly string[];
}

/** @param target the server that will execute it; undefined for psql, which can pass over what its server does not know */
export async function splitSchema(source: SchemaSource, target: pg.Client | undefined): Promise<SplitSchema> {
  const known = target === undefined ? undefined : new Set((await target.query<{ name: string }>('SELECT name FROM pg_catalog.pg_settings')).rows.map(({ name }) => name));
  const [{ restrictKey, script: preData }, { script: all }] = await Promise.all([scriptFor(source, 'pre-data', known), scriptFor(source, 'post-data', known)]);
  const last = all.entries.filter(({ type }) => type === 'EVENT TRIGGER');
  const staying = [...preData.entries, ...all.entries].filter(({ type }) => STAYS.test(type));
  const kinds = [...new Set(staying.map(({ type }) => type))].map((type) => `${staying.filter((entry) => entry.type === type).length} of ${type}`);
  const only = ({ settings, entries }: SchemaScript, without: readonly SchemaEntry[]): SchemaScript => ({ settings, entries: entries.filter((entry) => !staying.includes(entry) && !without.includes(entry)) });
  return {
    preData: only(preData, []), postData: only(all, last), last, restrictKey,
    warnings: kinds.length === 0 ? [] : [`of the schema stayed, since they belong to the old server and its roles: ${kinds.join(', ')}`],
  };
}

async function scriptFor({ pgDump, snapshot, encoding }: SchemaSource, section: Section, known: ReadonlySet<string> | undefined): Promise<Pick<SplitSchema, 'restrictKey'> & { readonly script: SchemaScript }> {
  const dumped = await withSchema(pgDump, snapshot, section, encoding, async (sql: Readable) => (await buffer(sql)).toString('latin1'));
  const { script } = withoutUnknownTablespaces(leaveOut(dumped, { owners: true, privileges: true }), () => false);
  return { restrictKey: restrictKeyOf(dumped), script: parseSchemaScript(known === undefined ? script : withoutUnknownSettings(script, known)) };
}
