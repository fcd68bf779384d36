/** What a run exports, so that no other run goes on in its directory. */
import { createHash } from 'node:crypto';
import type pg from 'pg';
import { RealmliftError } from '../errors.js';
import type { JournalHead } from '../package/journal.js';
import type { ExportPlan } from '../plan/plan-export.js';
import type { Source } from '../plan/source.js';
import type { ConnectionSettings } from '../snapshot/connection-settings.js';
import { VERSION } from '../version.js';

/** Values by the name under which a refusal tells them. */
export type RunIdentity = Readonly<Record<string, string | number | boolean>>;

/** The database, whichever host of a cluster answers for it: its primary and standbys share the system identifier. */
export async function databaseIdentity(client: pg.Client, settings: ConnectionSettings): Promise<string> {
  const { rows: [{ name, permitted } = { name: '', permitted: false }] } = await client.query<{ name: string; permitted: boolean }>(`
    SELECT current_database() AS name, has_function_privilege('pg_control_system()', 'EXECUTE') AS permitted`);
  if (!permitted) return `${name} of ${settings.description}`;
  const { rows } = await client.query<{ system: string }>('SELECT system_identifier::text AS system FROM pg_control_system()');
  return `${name} of cluster ${rows[0]?.system ?? ''}`;
}

/** @param options choices that shape the export beyond those of the plan's request */
export function runIdentity(plan: ExportPlan, source: Source, database: string, options: Readonly<Record<string, boolean>>): RunIdentity {
  const { request } = plan;
  const list = (values: Iterable<string | number>): string => [...values].sort().join(', ');
  return {
    'realmlift version': VERSION, realm: request.realm.stringId, 'realm id': request.realm.id, 'user id': request.userId ?? 'none', mode: request.mode,
    database, schema: source.schema, 'Zulip version': source.version.release, 'Zulip migration': source.version.zerverMigration,
    '--strip': list(request.decisions.strip), '--keep': list(request.decisions.keep), '--consent-message': request.consentMessage ?? 'none',
    'approved users': request.approved === undefined ? 'none' : list(request.approved), ...options,
    // Of each table the columns, keys and rule, so that what a part holds can be told from the journal.
    ...Object.fromEntries(plan.tables.map((table) => [`rows of ${table.name}`, digest([table.keys, table.stripped, plan.compiled.tables.get(table.name)?.sql])])),
    selections: digest([...plan.compiled.selections.values()].map(({ name, sql }) => [name, sql])),
  };
}

/** @throws RealmliftError RESUME_MISMATCH naming what differs */
export function refuseAnother(earlier: JournalHead['run'], now: RunIdentity, directory: string): void {
  const differ = [...new Set([...Object.keys(earlier), ...Object.keys(now)])].filter((name) => earlier[name] !== now[name]);
  if (differ.length === 0) return;
  const told = differ.slice(0, 5).map((name) => (name.startsWith('rows of') || name === 'selections' ? name : `${name} was ${show(earlier[name])} and is ${show(now[name])}`));
  throw new RealmliftError('RESUME_MISMATCH', 'package', `${directory} holds another export: ${told.join('; ')}${differ.length > 5 ? '; and more' : ''}`, {
    hint: 'repeat the command that began it with --resume, or remove that directory',
  });
}

function show(value: unknown): string {
  return value === '' ? 'nothing' : String(value ?? 'nothing');
}

/** Sixteen hexadecimal digits: enough to tell texts apart that nobody chose to be alike. */
export function digest(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex').slice(0, 16);
}
