/** What the base of a run is good for. */
import type pg from 'pg';
import type { ExportPlan } from '../../plan/plan-export.js';
import { HASHES_LISTS } from '../../plan/receivers.js';
import type { Source } from '../../plan/source.js';
import type { Snapshot } from '../../snapshot/snapshot.js';
import type { Base } from '../base/base.js';
import { keptFollowers, type NewFollowers } from '../base/follower-rows.js';
import { versionQueries, type Origin } from '../base/origin.js';
import { distrust, firstNew, wroteNothing } from '../base/trust-base.js';
import type { BaseVersions } from '../segments/changed-files.js';
import type { IdsSegment } from '../segments/ids-segment.js';
import { editedMessages } from './edited-messages.js';
import type { LaterRun } from './later-run.js';

/** The base of a run, and by what the server tells new rows from its rows. */
export interface RunBase {
  readonly base: Base;
  /** Nothing at all was written on the server since: all that it has by the same queries is what a fresh export would have. */
  readonly unchanged: boolean;
  /** Why the versions of rows cannot be believed. */
  readonly compared: string | undefined;
  /** Undefined where nothing was written, or the versions cannot be believed. */
  readonly told: ToldByVersions | undefined;
}

export interface ToldByVersions {
  readonly versions: BaseVersions;
  /** Asks for the messages of the base with a newer version, where all of the table are looked at for them; see edited-messages.ts. Undefined where each file is asked for its own. */
  readonly edited: IdsSegment | undefined;
  /** Asks which tables have the rows that the base saw; see counted-tables.ts. */
  readonly untouched: () => Promise<ReadonlySet<string>>;
  /** Asks for the tables of which the base has the rows of now but for the new ones, if it has their messages; see follower-rows.ts. */
  readonly followers: () => Promise<ReadonlyMap<string, NewFollowers>>;
}

/** @param client a session in the snapshot @param now where the run comes from */
export async function runBase(client: pg.Client, { serverVersion }: Pick<Snapshot, 'serverVersion'>, plan: ExportPlan, { catalog }: Source, base: Base | undefined, now: Origin | undefined, later: LaterRun): Promise<RunBase | undefined> {
  if (base === undefined || now === undefined) return undefined;
  if (base.origin.query === now.query && wroteNothing(base.origin.server, now.server)) return { base, unchanged: true, compared: undefined, told: undefined };
  const queries = versionQueries(plan, serverVersion < HASHES_LISTS ? undefined : now.receivers);
  const compared = distrust(base.origin, now) ?? (queries === undefined ? 'a row of a messages file is made of several rows here' : await unreadable(client, now));
  if (queries === undefined || compared !== undefined) return { base, unchanged: false, compared, told: undefined };
  const known = new Set(base.origin.receivers);
  const since = firstNew(base.origin.server);
  return {
    base, unchanged: false, compared: undefined,
    told: {
      versions: { ...queries, firstNew: since, joined: now.receivers.filter((id) => !known.has(id)) },
      edited: editedMessages(catalog.get('zerver_message'), base, since),
      untouched: async () => (await later.tables(base.messageCount)).untouched,
      followers: async () => keptFollowers(base.origin.followers, await later.followers()),
    },
  };
}

/** A role that may read single columns alone has none on the versions of rows. */
async function unreadable(client: pg.Client, { tables }: Origin): Promise<string | undefined> {
  const { rows: [row] } = await client.query<{ may: boolean | null }>("SELECT bool_and(has_column_privilege(oid, 'xmin', 'SELECT')) AS may FROM unnest($1::oid[]) AS t(oid)", [tables.map(({ oid }) => oid)]);
  return row?.may === true ? undefined : 'the role may not read the versions of rows (GRANT SELECT on the whole tables of messages)';
}
