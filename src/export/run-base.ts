/** What the base of a run is good for. */
import type pg from 'pg';
import type { ExportPlan } from '../plan/plan-export.js';
import { HASHES_LISTS } from '../plan/receivers.js';
import type { Source } from '../plan/source.js';
import type { Snapshot } from '../snapshot/snapshot.js';
import type { Base } from './base/base.js';
import type { RunBase } from './message-segments.js';
import { keptFollowers, type FoundFollowers, type NewFollowers } from './base/follower-rows.js';
import { versionQueries, type Origin } from './base/origin.js';
import type { TablesNow } from './base/counted-tables.js';
import { editedMessages } from './edited-messages.js';
import { distrust, firstNew, wroteNothing } from './base/trust-base.js';

const noTable = (): Promise<ReadonlySet<string>> => Promise.resolve(new Set());
const none = (): Promise<ReadonlyMap<string, NewFollowers>> => Promise.resolve(new Map());

/** @param client a session in the snapshot @param now where the run comes from @param find the rows that follow messages @param count the small tables */
export async function runBase(client: pg.Client, { serverVersion }: Pick<Snapshot, 'serverVersion'>, plan: ExportPlan, { catalog }: Source, base: Base | undefined, now: Origin | undefined, find: () => Promise<FoundFollowers | undefined>, count: () => Promise<TablesNow>): Promise<RunBase | undefined> {
  if (base === undefined || now === undefined) return undefined;
  if (base.origin.query === now.query && wroteNothing(base.origin.server, now.server)) return { base, unchanged: true, compared: undefined, versions: undefined, edited: undefined, untouched: noTable, followers: none };
  const queries = versionQueries(plan, serverVersion < HASHES_LISTS ? undefined : now.receivers);
  const compared = distrust(base.origin, now) ?? (queries === undefined ? 'a row of a messages file is made of several rows here' : await unreadable(client, now));
  if (queries === undefined || compared !== undefined) return { base, unchanged: false, compared, versions: undefined, edited: undefined, untouched: noTable, followers: none };
  const known = new Set(base.origin.receivers);
  const since = firstNew(base.origin.server);
  const edited = editedMessages(catalog.get('zerver_message'), base, since);
  return { base, unchanged: false, compared, versions: { ...queries, firstNew: since, joined: now.receivers.filter((id) => !known.has(id)) }, edited, untouched: async () => (await count()).untouched, followers: async () => keptFollowers(base.origin.followers, await find()) };
}

/** A role that may read single columns alone has none on the versions of rows. */
async function unreadable(client: pg.Client, { tables }: Origin): Promise<string | undefined> {
  const { rows: [row] } = await client.query<{ may: boolean | null }>("SELECT bool_and(has_column_privilege(oid, 'xmin', 'SELECT')) AS may FROM unnest($1::oid[]) AS t(oid)", [tables.map(({ oid }) => oid)]);
  return row?.may === true ? undefined : 'the role may not read the versions of rows (GRANT SELECT on the whole tables of messages)';
}
