/** What a run exports, so that no other run goes on in its directory. */
import { createHash } from 'node:crypto';
import { RealmliftError } from '../../errors.js';
import type { JournalHead } from '../../package/journal.js';
import type { ExportPlan } from '../../plan/plan-export.js';
import type { Source } from '../../plan/source.js';
import { VERSION } from '../../version.js';

/** Values by the name under which a refusal tells them. */
export type RunIdentity = Readonly<Record<string, string | number>>;

/** @param options the choices that shape the export, as the manifest names them */
export function runIdentity({ request, tables, compiled }: ExportPlan, source: Source, database: string, options: Readonly<Record<string, unknown>>): RunIdentity {
  return {
    'realmlift version': VERSION, realm: request.realm.stringId, 'realm id': request.realm.id, database, schema: source.schema,
    'Zulip version': source.version.release, 'Zulip migration': source.version.zerverMigration,
    ...Object.fromEntries(Object.entries(options).map(([name, value]) => [name, typeof value === 'string' ? value : JSON.stringify(value)])),
    ...rulesOf(tables, compiled),
  };
}

/** The same for all realms of a run. */
const known = new WeakMap<ExportPlan['tables'], RunIdentity>();

/** What a part holds depends on the columns, keys and rule of its table. */
function rulesOf(tables: ExportPlan['tables'], compiled: ExportPlan['compiled']): RunIdentity {
  const rules = known.get(tables) ?? {
    ...Object.fromEntries(tables.map(({ name, keys, stripped }) => [`${RULES}${name}`, digest([keys, stripped, compiled.tables.get(name)?.sql])])),
    [`${RULES}the selections`]: digest([...compiled.selections.values()].map(({ name, sql }) => [name, sql])),
  };
  known.set(tables, rules);
  return rules;
}

const RULES = 'the rules of ';

/** How many differences an error tells at most. */
const TOLD = 5;

/** What differs, in words; undefined where nothing does but what `may`. */
export function differences(earlier: RunIdentity, now: RunIdentity, may: (name: string) => boolean = () => false, more: readonly string[] = []): string | undefined {
  const names = [...new Set([...Object.keys(earlier), ...Object.keys(now)])].filter((name) => earlier[name] !== now[name] && !may(name));
  const told = [...names.map((name) => (name.startsWith(RULES) ? `${name} differ` : `${name} was ${show(earlier[name])} and is ${show(now[name])}`)), ...more];
  return told.length === 0 ? undefined : `${told.slice(0, TOLD).join('; ')}${told.length > TOLD ? `; ${told.length - TOLD} more differences` : ''}`;
}

/** @throws RealmliftError RESUME_MISMATCH naming what differs */
export function refuseAnother(earlier: JournalHead, now: JournalHead, directory: string): void {
  const told = differences(earlier.run, now.run, undefined, earlier.seed === now.seed ? [] : ['--random-seed differs']);
  if (told === undefined) return;
  throw new RealmliftError('RESUME_MISMATCH', 'package', `${directory} holds another export: ${told}`, {
    hint: 'repeat the command that began it with --resume, or remove that directory',
  });
}

function show(value: string | number | undefined): string {
  return value === undefined || value === '' ? 'nothing' : String(value);
}

/** Sixteen hexadecimal digits: enough to tell texts apart that nobody chose to be alike. */
export function digest(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex').slice(0, 16);
}
