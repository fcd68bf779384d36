/** What a remapping and the rehearsal of an import must know of the new server, read from its database in one read-only transaction. */
import type pg from 'pg';
import { RealmliftError, serverReason, type Stage } from '../errors.js';
import { findSchema, readCatalog, type Catalog } from '../plan/views/catalog.js';
import { findSystemBots } from '../plan/realm.js';
import type { Registry } from '../plan/views/registry.js';
import { useSchema } from '../plan/search-path.js';
import { detectZulipVersion, type ZulipVersion } from '../plan/release/zulip-version.js';
import { connect } from '../snapshot/connect.js';
import type { ConnectionSettings } from '../snapshot/connection-settings.js';
import { BEGIN } from '../snapshot/take-snapshot.js';
import { INTEGER, type BotIds, type NewIds } from './assignment.js';
import { idColumn, MESSAGE_NUMBERS, spaceOf } from './reference-catalog.js';

export interface TargetServer {
  /** `user@host:port/database` */
  readonly description: string;
  /** Where its tables are. */
  readonly schema: string;
  readonly version: ZulipVersion;
  readonly catalog: Catalog;
  /** System bots by address. */
  readonly bots: ReadonlyMap<string, BotIds>;
  /** Ids of the clients by name. */
  readonly clients: ReadonlyMap<string, number>;
  /** All that it has, deactivated ones and that of the system bots too; none on a server that was only installed. */
  readonly realms: readonly TargetRealm[];
  /** Tables whose sequence would give out an id that is taken: whatever inserts into them fails. */
  readonly behind: readonly string[];
  /** Unfinished loads, by subdomain. */
  readonly unfinished: readonly string[];
  /** Those of them that have taken away indexes and foreign keys and not made them again. */
  readonly bare: readonly string[];
  /** Above all that is taken, and no higher than the columns hold. */
  readonly ids: NewIds;
}

export interface TargetRealm {
  readonly subdomain: string;
  /** Null before Zulip has them. */
  readonly uuid: string | null;
}

/** Where a load notes how far it has come: a schema named after the subdomain, and in it, while they lack, a table of what is to be made again. */
export const [LOAD_SCHEMA, TO_MAKE_AGAIN] = ['realmlift_load_', 'later'];

/** Highest values by pg_type's OIDs of int2, int4 and int8; of the last, what a double holds exactly. */
const HIGHEST: Readonly<Record<number, number>> = { 21: 2 ** 15 - 1, 23: INTEGER, 20: Number.MAX_SAFE_INTEGER };

/** Tables that get rows with an import, and are none of an export. */
const UNLISTED = ['zerver_attachment_messages', 'zerver_attachment_scheduled_messages', 'zerver_imageattachment'];

/** What zerver_recipient.type_id means is said by the row's type and by no foreign key. */
const TYPE_IDS = ['zerver_userprofile', 'zerver_stream', 'zerver_huddle'];

/** @throws RealmliftError as {@link withTarget} */
export async function readTarget(settings: ConnectionSettings, registry: Registry, stop?: AbortSignal): Promise<TargetServer> {
  return withTarget(settings, registry, (_, target) => Promise.resolve(target), stop);
}

/**
 * Runs `use` inside the read-only transaction in which the new server was looked at; its tables are found without a schema.
 *
 * @param stop cuts the session soon after it has aborted
 * @throws what `use` throws; RealmliftError NOT_ZULIP, RIGHT_MISSING, those of the connection, each saying that it is about the new server
 */
export async function withTarget<T>(settings: ConnectionSettings, registry: Registry, use: (client: pg.Client, target: TargetServer) => Promise<T>, stop?: AbortSignal): Promise<T> {
  const client = await connect(settings, 'target', stop).catch(aboutTarget);
  try {
    const target = await readTargetWith(client, settings.description, registry).catch(aboutTarget);
    return await use(client, target);
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** An error that speaks of a database, of the new server's. @param stage of whoever asks there */
export function aboutTarget(cause: unknown, stage: Stage = 'remap'): never {
  if (cause instanceof RealmliftError && cause.code === 'STOPPED') throw cause;
  if (cause instanceof RealmliftError) {
    const { code, message, table, hint, exit } = cause;
    throw new RealmliftError(code, stage, `the new server: ${message}`, { table, exit, hint: code === 'RIGHT_MISSING' ? hint : 'check --target-url', cause });
  }
  const { code, message } = cause as { code?: string; message: string };
  if (code !== '42501') throw cause;
  throw new RealmliftError('RIGHT_MISSING', 'remap', `the role may not read what must be known of the new server (${serverReason(code, message)})`, {
    hint: 'GRANT SELECT on its tables and sequences, or connect as the role that Zulip itself uses; nothing is written there', cause,
  });
}

/** Begins the read-only transaction and looks at the new server. @param description as its settings give it */
async function readTargetWith(client: pg.Client, description: string, registry: Registry): Promise<TargetServer> {
  await client.query(BEGIN);
  const schema = await findSchema(client);
  await useSchema(client, schema);
  const catalog = await readCatalog(client, schema);
  const tables = [...new Set([...registry.tables.values()].map(({ table }) => table))].filter((table) => catalog.has(table));
  // A table that the new server does not have is one of another version, of which an export that fits has no row.
  const [sequences, limit] = [await readSequences(client, schema), limits(catalog, tables)];
  const taken = await takenIds(client, [...tables, ...UNLISTED.filter((table) => catalog.has(table))]);
  const highest = new Map([...taken].map(([table, id]) => [table, Math.max(id, (sequences.get(table)?.next ?? 1) - 1)]));
  const bots = await findSystemBots(client);
  const recipients = await client.query<{ id: number; recipient: number | null }>('SELECT id::float8 AS id, recipient_id::float8 AS recipient FROM zerver_userprofile WHERE id = ANY ($1::int8[])', [bots.map(({ id }) => id)]);
  const recipientOf = new Map(recipients.rows.map(({ id, recipient }) => [id, recipient]));
  return {
    description, schema,
    version: await detectZulipVersion(client, schema),
    catalog,
    bots: new Map(bots.flatMap(({ id, email }): [string, BotIds][] => {
      const recipient = recipientOf.get(id) ?? null;
      return recipient === null ? [] : [[email, { user: id, recipient }]];
    })),
    clients: new Map((await client.query<{ id: number; name: string }>('SELECT id::float8 AS id, name FROM zerver_client')).rows.map(({ id, name }) => [name, id])),
    realms: (await client.query<TargetRealm>(`SELECT string_id AS subdomain, ${catalog.get('zerver_realm')?.columns.has('uuid') === true ? 'uuid::text' : 'NULL AS uuid'} FROM zerver_realm`)).rows,
    behind: [...taken].filter(([table, id]) => (sequences.get(table)?.next ?? Infinity) <= id).map(([table]) => table).sort(),
    ...await readUnfinished(client),
    ids: { base: (table) => highest.get(table) ?? 0, nth: (table, n) => (highest.get(table) ?? 0) + n, limit: (table) => limit.get(table) ?? INTEGER },
  };
}

/** The catalog alone is asked, which every role may read. */
async function readUnfinished(client: pg.Client): Promise<Pick<TargetServer, 'unfinished' | 'bare'>> {
  const { rows } = await client.query<{ subdomain: string; bare: boolean }>(`
    SELECT substr(n.nspname, length($1) + 1) AS subdomain, EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = n.oid AND c.relname = $2) AS bare
    FROM pg_namespace n WHERE starts_with(n.nspname, $1) ORDER BY 1`, [LOAD_SCHEMA, TO_MAKE_AGAIN]);
  return { unfinished: rows.map(({ subdomain }) => subdomain), bare: rows.filter(({ bare }) => bare).map(({ subdomain }) => subdomain) };
}

interface Sequence {
  /** What nextval would give out. */
  readonly next: number;
}

/** By table: the sequence of its ids. A deleted row's id may still be named somewhere, so what it gave out is taken. */
async function readSequences(client: pg.Client, schema: string): Promise<Map<string, Sequence>> {
  const { rows } = await client.query<{ table: string; last: number | null; start: number; step: number }>(`
    SELECT t.relname AS table, pg_sequence_last_value(s.oid)::float8 AS last, q.seqstart::float8 AS start, q.seqincrement::float8 AS step
    FROM pg_class s JOIN pg_sequence q ON q.seqrelid = s.oid
    JOIN pg_depend d ON d.objid = s.oid AND d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
    JOIN pg_class t ON t.oid = d.refobjid JOIN pg_namespace n ON n.oid = t.relnamespace
    JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid
    WHERE s.relkind = 'S' AND n.nspname = $1 AND a.attname = 'id'`, [schema]);
  return new Map(rows.map(({ table, last, start, step }) => [table, { next: last === null ? start : last + step }]));
}

/** By table: the highest id of its rows. */
async function takenIds(client: pg.Client, tables: readonly string[]): Promise<Map<string, number>> {
  const highest = new Map<string, number>();
  for (const table of tables) {
    const { rows: [row] } = await client.query<{ id: number | null }>(`SELECT max(${idColumn(table)})::float8 AS id FROM ${client.escapeIdentifier(table)}`);
    highest.set(table, row?.id ?? 0);
  }
  return highest;
}

/** By table: the highest id that its own column and all that refer to it can hold. */
function limits(catalog: Catalog, tables: readonly string[]): Map<string, number> {
  const found = new Map<string, number>();
  const lower = (table: string, type: number): void => {
    const highest = HIGHEST[type];
    if (highest !== undefined) found.set(table, Math.min(found.get(table) ?? Infinity, highest));
  };
  for (const table of tables) {
    for (const { name, type, references } of catalog.get(table)?.columns.values() ?? []) {
      if (name === 'id') lower(table, type);
      else if (MESSAGE_NUMBERS.has(name)) lower('zerver_message', type);
      else if (table === 'zerver_recipient' && name === 'type_id') for (const of of TYPE_IDS) lower(of, type);
      else if (references !== undefined) lower(spaceOf(references), type);
    }
  }
  return found;
}
