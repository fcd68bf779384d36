/**
 * What must hold before a realm arrives on a new server, by `manage.py import` or by `realmlift load`: found out from the
 * export and from the new server's database, which is only read, before a row is written.
 */
import type pg from 'pg';
import { MIGRATION_STATUS } from '../package/export-files.js';
import { hasMigrationStatus } from '../package/migration-status.js';
import { readTop, type ReadableExport } from '../pipe/finished-export.js';
import { eachRow } from '../pipe/each-row.js';
import { eachTableFile } from '../pipe/opened-tables.js';
import type { TableFile } from '../pipe/table-file.js';
import type { Registry } from '../plan/views/registry.js';
import { spaceOf } from '../remap/reference-catalog.js';
import { namesOf } from '../remap/remap-request.js';
import { columnsMisfit, migrationsMisfit, versionMisfit } from '../remap/target-fit.js';
import type { TargetServer } from '../remap/target-server.js';
import { announcementFault } from './announcements.js';
import { addressFault, attachmentFault, EditHistories, emojiFault, groupFault, knownUsers, reactionFault } from './row-faults.js';
import { RowValues } from './row-values.js';
import { subdomainFault } from './subdomain.js';
import { takenFault } from './taken-values.js';
import { uniqueFault } from './unique-indexes.js';

export type ArrivalName =
  | 'version' | 'migrations' | 'columns' | 'values' | 'subdomain' | 'realm' | 'bots' | 'sequences' | 'indexes' | 'ids' | 'unique' | 'taken'
  | 'addresses' | 'history' | 'emoji' | 'reactions' | 'groups' | 'announcements';

export interface Check<Name extends string = string> {
  readonly name: Name;
  /** `warned`: the realm arrives whole, but not without a word. */
  readonly outcome: 'good' | 'failed' | 'warned' | 'unknown';
  /** What was found, one line without any row's content. */
  readonly what: string;
}

export interface Arrival {
  readonly source: ReadableExport;
  /** Its files with tables, opened. */
  readonly files: readonly TableFile[];
  readonly subdomain: string;
  readonly allowReserved: boolean;
}

export interface NewServer {
  /** In the read-only transaction in which `target` was read, see withTarget. */
  readonly client: pg.Client;
  readonly target: TargetServer;
  readonly registry: Registry;
}

/** For these the new server is shown rows. */
const SHOWN: ReadonlySet<ArrivalName> = new Set(['unique', 'taken']);

/**
 * All checks, in the order in which the import would stumble.
 * @param server undefined leaves what only the new server tells unknown
 * @throws RealmliftError EXPORT_CHANGED, JSON_DAMAGED; those of the connection
 */
export async function checkArrival(arrival: Arrival, server: NewServer | undefined): Promise<Check<ArrivalName>[]> {
  const { source, files, subdomain, allowReserved } = arrival;
  const checks: Check<ArrivalName>[] = [];
  const values = server === undefined ? undefined : await RowValues.create(server.client, server.target, server.registry);
  const add = (name: ArrivalName, failure: string | undefined, what: string): void => {
    checks.push({ name, outcome: failure === undefined ? 'good' : 'failed', what: failure ?? what });
  };
  const ask = async (name: ArrivalName, known: string | undefined, check: (server: NewServer) => Promise<string | undefined> | string | undefined, what: (server: NewServer) => string): Promise<void> => {
    if (server === undefined && known === undefined) checks.push({ name, outcome: 'unknown', what: '--target-url is needed to look at this' });
    // Rows that its columns do not take cannot be shown to it.
    else if (SHOWN.has(name) && known === undefined && values?.fault !== undefined) checks.push({ name, outcome: 'unknown', what: 'the new server cannot read the values' });
    else add(name, known ?? await check(server as NewServer), server === undefined ? '' : what(server));
  };

  for (const file of files) values?.look(file);
  const messages = readMessages(source, values, new EditHistories(knownUsers(files), source.header.zulip_version ?? server?.target.version.release));
  await ask('version', undefined, ({ target }) => versionMisfit(source, target) ?? statusFault(source, target), ({ target }) => `Zulip ${source.header.zulip_version ?? target.version.release}, as the new server`);
  await ask('migrations', undefined, ({ target }) => migrationsMisfit(source, target), () => 'the same are applied to the new server');
  await ask('columns', undefined, ({ target, registry }) => columnsMisfit(source, files, target, registry), () => 'the new server has all tables and columns');
  await ask('values', undefined, () => values?.fault, () => "the new server's columns take them all");
  await ask('subdomain', subdomainFault(subdomain, allowReserved), ({ target }) => takenSubdomain(subdomain, target), () => `"${subdomain}" is free`);
  await ask('realm', undefined, ({ target }) => knownRealm(files, target), () => 'the new server does not have this realm');
  await ask('bots', undefined, ({ target }) => botsFault(files, target), ({ target }) => (isNew(target) ? 'a new server without any realm: the import makes the system bots' : 'the new server has the system bots that the rows name'));
  await ask('sequences', undefined, ({ target }) => sequencesFault(target), () => 'those of the new server are ahead of their tables');
  await ask('indexes', undefined, ({ target }) => indexesFault(subdomain, target), () => 'no unfinished load has left the new server without some of them');
  await ask('ids', undefined, ({ target }) => idsFault(files, messages.rows, target), () => 'there is room for every row above the ids that are taken');
  await ask('unique', attachmentFault(files), ({ client, target, registry }) => uniqueFault(client, files, registry, target), () => "no two rows that the new server's unique indexes forbid");
  await ask('taken', undefined, ({ client, target, registry }) => takenFault(client, files, registry, target), () => 'nothing that the new server allows once is there already');
  add('addresses', addressFault(files), 'every user has valid ones');
  add('history', messages.fault, 'edits of messages are by users of the export');
  add('emoji', emojiFault(files), 'custom emoji have an author, or an owner who stands in');
  add('reactions', reactionFault(files), 'custom emoji of reactions and statuses are there, under their names');
  add('groups', groupFault(files), 'no two groups have the same subscribers');
  const announced = announcementFault(files, source.header.zulip_version);
  checks.push({ name: 'announcements', outcome: announced === undefined ? 'good' : 'warned', what: announced ?? "the realm's level of Zulip's update announcements stops nothing" });
  return checks;
}

/** From the version on that writes it, the import stops without it. */
function statusFault(source: ReadableExport, { version }: TargetServer): string | undefined {
  return hasMigrationStatus(version) && readTop(source, MIGRATION_STATUS) === undefined ? 'there is no migration_status.json' : undefined;
}

function takenSubdomain(subdomain: string, target: TargetServer): string | undefined {
  const { realms, unfinished } = target;
  if (unfinished.includes(subdomain)) return unfinishedLoad(subdomain, target);
  if (!realms.some((realm) => realm.subdomain === subdomain)) return undefined;
  return subdomain === '' ? 'the root domain is taken on the new server: give the import a subdomain' : `"${subdomain}" is taken on the new server: give the import another`;
}

/** zerver_realm.uuid is unique: the same realm cannot be on a server twice. An import that died leaves it there, deactivated. */
function knownRealm(files: readonly TableFile[], target: TargetServer): string | undefined {
  const { realms, unfinished } = target;
  for (const fields of eachRow(files, 'zerver_realm')) {
    const uuid = fields.textOf('uuid')?.toLowerCase();
    const there = uuid === undefined ? undefined : realms.find((realm) => realm.uuid === uuid);
    if (there !== undefined && unfinished.includes(there.subdomain)) return unfinishedLoad(there.subdomain, target);
    if (there !== undefined) return `this realm is on the new server already, as "${there.subdomain}" (the same zerver_realm.uuid): delete it there first`;
  }
  return undefined;
}

/** zerver/lib/server_initialization.py, server_initialized: the import makes the system bots where there is no realm at all. */
export function isNew({ realms }: TargetServer): boolean {
  return realms.length === 0;
}

function botsFault(files: readonly TableFile[], target: TargetServer): string | undefined {
  const lacking = isNew(target) ? [] : [...namesOf(files).bots.keys()].filter((email) => !target.bots.has(email));
  return lacking.length === 0 ? undefined : `the new server lacks the system bots ${lacking.join(', ')}`;
}

function sequencesFault({ behind }: TargetServer): string | undefined {
  return behind.length === 0 ? undefined : `the sequences of ${behind.join(', ')} are behind their tables, and the next row is refused: SELECT setval(pg_get_serial_sequence('${behind[0] as string}', 'id'), max(id)) FROM ${behind[0] as string}, and so on`;
}

/** Whoever came now would write rows that no foreign key looks at, and would be there before the indexes are. */
function indexesFault(subdomain: string, target: TargetServer): string | undefined {
  const other = target.bare.find((each) => each !== subdomain);
  return other === undefined ? undefined : unfinishedLoad(other, target);
}

function unfinishedLoad(subdomain: string, { bare }: TargetServer): string {
  return `the load of ${subdomain} is unfinished${bare.includes(subdomain) ? ' and has left the tables of messages without indexes and foreign keys' : ''}: go on with it by realmlift load --resume, or remove it by --undo`;
}

interface MessageFacts {
  readonly rows: ReadonlyMap<string, number>;
  readonly fault: string | undefined;
}

const MESSAGES = 'zerver_message';

/** All that is asked of the files of messages, in one reading: there are many rows. */
function readMessages(source: ReadableExport, values: RowValues | undefined, edits: EditHistories): MessageFacts {
  const rows = new Map<string, number>();
  for (const file of eachTableFile(source, source.messages)) {
    countRows(file, rows);
    if (values === undefined) for (const message of eachRow([file], MESSAGES)) edits.row(message);
    else values.look(file, (table, fields) => { if (table === MESSAGES) edits.row(fields); });
  }
  return { rows, fault: edits.fault };
}

function countRows(file: TableFile, rows: Map<string, number>): void {
  for (const table of file.tables) rows.set(spaceOf(table), (rows.get(spaceOf(table)) ?? 0) + file.count(table));
}

function idsFault(files: readonly TableFile[], ofMessages: ReadonlyMap<string, number>, { ids }: TargetServer): string | undefined {
  const rows = new Map(ofMessages);
  for (const file of files) countRows(file, rows);
  const full = [...rows].find(([table, more]) => ids.base(table) + more > ids.limit(table))?.[0];
  return full === undefined ? undefined : `the ids of ${full} would pass ${ids.limit(full)}, where its column ends`;
}
