/**
 * Where an export came from: what a later run (`--base`) must know to find on the server what has changed since. It lies beside the
 * export in `catch-up.journal`: this first, then the lines of the run's journal for files that a later export can take over, and
 * at the end the SHA-256 of the manifest that they belong to.
 */
import type pg from 'pg';
import { withSelections } from '../../plan/views/compile-view.js';
import { inline, MESSAGE_RANGE } from '../../plan/parameters.js';
import type { ExportPlan } from '../../plan/plan-export.js';
import type { Source } from '../../plan/source.js';
import { setQuery, type SetPlan } from '../../plan/plan-set.js';
import { byReceivers, chosenByReceivers, readReceivers, RECEIVERS } from '../../plan/receivers.js';
import { TENANT } from '../../plan/views/set-form.js';
import { versionForm } from '../../plan/views/version-form.js';
import type { Snapshot } from '../../snapshot/snapshot.js';
import { factsWithChildren, tablesNamed, type TableFact } from '../../snapshot/table-facts.js';
import type { Followers } from './follower-rows.js';
import type { RunIdentity } from './run-identity.js';

export interface Origin {
  readonly format: 1;
  readonly run: RunIdentity;
  readonly snapshot: { readonly id: string; /** ISO 8601. */ readonly takenAt: string };
  readonly server: OriginServer;
  /** Digest of the queries that messages files are made by. */
  readonly query: string;
  /** The tables of the messages files, with their partitions. */
  readonly tables: readonly TableFact[];
  /** Users whose usermessages travel. */
  readonly receivers: readonly number[];
  /** Unknown of a target of a set. */
  readonly followers?: Followers | undefined;
  /** Unknown of a target of a set. */
  readonly outside?: ExportPlan['outside'];
  /** Small tables of the server; unknown of a target of a set. */
  readonly counted?: CountedTables | undefined;
}

/** A table of the server, see counted-tables.ts. */
export interface CountedTable {
  /** Digest of what the table is, see TableFact. */
  readonly facts: string;
  readonly rows: number;
}

/** By name. */
export type CountedTables = Readonly<Record<string, CountedTable>>;

/** A server at the moment of a snapshot. Transaction ids are of 64 bits, in decimal. */
export interface OriginServer {
  /** All transactions before it had ended. */
  readonly xmin: string;
  /** None from it on had. */
  readonly xmax: string;
  /** Those in between that had not; a standby does not tell them. */
  readonly running: readonly string[];
  readonly recovering: boolean;
  /** Of the cluster and of its history; null where the role may not ask. */
  readonly system: string | null;
  readonly timeline: number | null;
  /** Since when it counts what it does: after a crash anew. Null where the role may not ask. */
  readonly counting: string | null;
  /** When it was started, and where it listens, by its own account. */
  readonly started: string;
  readonly address: string;
}

/** Tables whose rows go to the messages files. */
export const MESSAGE_TABLES = ['zerver_message', 'zerver_usermessage'] as const;

/** @param client a session in the snapshot @param query digest of the queries of messages files */
export async function readOrigin(client: pg.Client, { id, takenAt }: Pick<Snapshot, 'id' | 'takenAt'>, server: OriginServer, plan: ExportPlan, { schema }: Source, run: RunIdentity, query: string): Promise<Origin> {
  return { format: 1, run, snapshot: { id, takenAt }, server, query, tables: await messageTables(client, schema), receivers: await readReceivers(client, plan), outside: plan.outside };
}

/** What the targets of a set have in common, and the receivers of each by its realm. */
export interface SetOrigin extends Pick<Origin, 'server' | 'tables'> {
  readonly receivers: ReadonlyMap<number, number[]>;
}

/** @param client a session in the snapshot */
export async function readSetOrigin(client: pg.Client, server: OriginServer, plan: SetPlan, { schema }: Source): Promise<SetOrigin> {
  const receivers = new Map(plan.parameters.realm_ids.map((id): [number, number[]] => [id, []]));
  const selection = plan.compiled.selections.get(RECEIVERS);
  if (selection !== undefined) {
    const { rows } = await client.query<[realm: number, id: number]>({ rowMode: 'array', text: `SELECT q.${TENANT}::float8, q.id::float8 FROM (${setQuery(selection, plan)}) AS q ORDER BY q.id` });
    for (const [realm, id] of rows) receivers.get(realm)?.push(id);
  }
  return { server, tables: await messageTables(client, schema), receivers };
}

async function messageTables(client: pg.Client, schema: string): Promise<TableFact[]> {
  return factsWithChildren(client, (await tablesNamed(client, schema, MESSAGE_TABLES)).map(({ oid }) => oid));
}

/** @param client a session in the snapshot */
export async function readServer(client: pg.Client): Promise<OriginServer> {
  const { rows: [known] } = await client.query<{ xmin: string; xmax: string; running: string[]; recovering: boolean; started: string; address: string; permitted: boolean }>(`
    SELECT txid_snapshot_xmin(s.taken)::text AS xmin, txid_snapshot_xmax(s.taken)::text AS xmax, ARRAY(SELECT x::text FROM txid_snapshot_xip(s.taken) x ORDER BY x) AS running,
           pg_is_in_recovery() AS recovering, pg_postmaster_start_time()::text AS started,
           coalesce(host(inet_server_addr()), 'socket') || ' ' || current_setting('port') AS address,
           (SELECT bool_and(has_function_privilege(f, 'EXECUTE')) FROM unnest('{pg_control_system(),pg_control_checkpoint(),pg_control_recovery(),pg_stat_get_bgwriter_stat_reset_time()}'::text[]) f) AS permitted
    FROM (SELECT txid_current_snapshot() AS taken) AS s`);
  const { permitted = false, ...server } = known ?? { xmin: '0', xmax: '0', running: [], recovering: true, started: '', address: '' };
  return { ...server, ...(permitted ? await history(client, server.recovering) : { system: null, timeline: null, counting: null }) };
}

/** A promoted server is at a new timeline at once, while its control file learns of it with the next checkpoint; a standby follows by its recovery. */
async function history(client: pg.Client, recovering: boolean): Promise<Pick<OriginServer, 'system' | 'timeline' | 'counting'>> {
  const timeline = recovering
    ? 'greatest((SELECT timeline_id FROM pg_control_checkpoint()), (SELECT min_recovery_end_timeline FROM pg_control_recovery()), (SELECT max(received_tli) FROM pg_stat_wal_receiver))'
    : "('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::int";
  const { rows: [row] } = await client.query<{ system: string; timeline: number; counting: string }>(`SELECT system_identifier::text AS system, ${timeline} AS timeline, pg_stat_get_bgwriter_stat_reset_time()::text AS counting FROM pg_control_system()`);
  return { system: row?.system ?? null, timeline: row?.timeline ?? null, counting: row?.counting ?? null };
}

/** Texts that ask the server of the versions of rows, see segments/changed-files.ts. */
export interface VersionQueries {
  /** Ends in the range of ids, see bindMessageRange. */
  readonly messages: string;
  /** Holds `:message_ids`. */
  readonly usermessages: string;
}

/**
 * @param receivers users whose usermessages travel; undefined where the server would compare each row with each of them
 * @returns undefined where one version does not tell that a row changed
 */
export function versionQueries({ compiled, parameters }: ExportPlan, receivers: readonly number[] | undefined): VersionQueries | undefined {
  const [messages, usermessages] = MESSAGE_TABLES.map((table) => {
    const view = compiled.tables.get(table);
    const form = view === undefined ? undefined : versionForm(view, compiled.selections);
    return form === undefined ? undefined : inline(withSelections(byReceivers(form.view, receivers), form.selections), parameters);
  });
  if (messages === undefined || usermessages === undefined || !chosenByReceivers(compiled.tables.get('zerver_usermessage'))) return undefined;
  return { messages: `${messages} WHERE ${MESSAGE_RANGE}`, usermessages };
}
