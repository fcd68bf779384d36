/** The two exports of an update, each with the ids that its rows have on the new server. */
import type pg from 'pg';
import { importRules, type Rules } from '../load/rows/import-rules.js';
import type { IdRange } from '../load/server/load-journal.js';
import { MESSAGES, type LoadSource, type MessageFile } from '../load/source/load-source.js';
import type { ReservedIds } from '../load/server/reserved-ids.js';
import { ServerRows } from '../load/rows/server-rows.js';
import type { Schema } from '../load/rows/table-layout.js';
import { sharedGroups } from '../load/server/shared-groups.js';
import { avatarRenames } from '../load/files/file-plan.js';
import { UNCHANGED, type IdSpace } from '../remap/id-space.js';
import { Outside } from '../remap/outside.js';
import { knownIds, type OwnIds } from '../remap/own-ids.js';
import { ReferenceCatalog, spaceOf } from '../remap/reference-catalog.js';
import { rewriteContext, type RewriteContext } from '../remap/rewrite-row.js';
import { surveyExport, type Survey } from '../remap/survey.js';
import type { TargetServer } from '../remap/target-server.js';
import { isNumber, numbers } from './numbered-space.js';

export interface Side {
  readonly source: LoadSource;
  readonly ids: ReservedIds;
  readonly rewrite: RewriteContext;
  readonly rules: Rules;
  /** Rows that are the new server's own. */
  readonly there: ServerRows;
}

/** An export whose rows are known, and not yet which ids they have. */
export interface Surveyed {
  readonly source: LoadSource;
  readonly survey: Survey;
  readonly there: ServerRows;
}

export interface SideContext {
  readonly client: pg.Client;
  readonly schema: Schema;
  readonly server: TargetServer;
  /** Ids of the new server's clients by name. */
  readonly clients: ReadonlyMap<string, number>;
  /** Ids that were taken by the load and its updates. */
  readonly taken: readonly IdRange[];
  readonly salt: string | undefined;
  readonly realmName: string;
  readonly subdomain: string;
}

/** Rows by their number in the export, or by ids where these are known. @param fds four empty temporary files */
export async function surveySide(source: LoadSource, { client, server, clients, taken }: SideContext, ids: ReservedIds | undefined, fds: readonly number[]): Promise<Surveyed> {
  const known = await sharedGroups(client, source.files, server.bots, taken);
  const survey = await surveyExport(source.source, source.files, { bots: server.bots, clients, nextClient: undefined, all: ids ?? numbers, known, usermessagesAsTheyCome: true }, undefined, fds);
  return { source, survey, there: new ServerRows(server.bots, known) };
}

export function sideOf({ source, survey, there }: Surveyed, ids: ReservedIds, { schema, server, salt, realmName, subdomain }: SideContext): Side {
  const users = survey.spaces.get('zerver_userprofile') ?? UNCHANGED;
  const avatarNames = avatarRenames(source.source, { salt, users, zerverMigration: server.version.zerverMigration });
  const rewrite = rewriteContext({ survey, references: new ReferenceCatalog(schema.registry, schema.catalog), outside: new Outside(), avatarNames, strays: 'moved', realmName, subdomain });
  return { source, ids, rewrite, rules: importRules(rewrite, source.files), there };
}

/** The new ids of a table's rows, asked for in their order. */
export function ownIds(table: string, { rewrite, ids }: Side): OwnIds {
  const space = rewrite.survey.spaces.get(spaceOf(table));
  if (space !== undefined) return knownIds(space, undefined);
  let count = 0;
  return { next: (old) => (Number.isNaN(old) ? old : ids.nth(table, ++count)) };
}

/** A messages file, with the old ids of its first and last message. */
export interface BoundedFile extends MessageFile {
  readonly first: number;
  readonly last: number;
}

/** Files without messages have no usermessages either, and are left out. */
export function boundedFiles({ source, survey }: Surveyed): BoundedFile[] {
  const pairs = (survey.spaces.get(MESSAGES) as IdSpace).pairs()[Symbol.iterator]();
  const bounded: BoundedFile[] = [];
  for (const file of source.messages) {
    let [first, last] = [NaN, NaN];
    for (let count = 0; count < file.messages; count++) {
      const [old] = (pairs.next() as IteratorYieldResult<readonly [number, number]>).value;
      if (count === 0) first = old;
      last = old;
    }
    if (file.messages > 0) bounded.push({ ...file, first, last });
  }
  return bounded;
}

/** Old ids of the rows of a table that get ids from its sequence, with the id or number of each. */
export function* rowNumbers(table: string, { survey }: Surveyed): Generator<readonly [number, number]> {
  for (const pair of survey.spaces.get(table)?.pairs() ?? []) if (isNumber(pair[1])) yield pair;
}
