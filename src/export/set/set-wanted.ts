/** The rows that the files stage asks for, of all targets of a set at once: a query each, dealt out like tables. */
import type pg from 'pg';
import { Lost } from '../../files/file-store.js';
import type { SetPlan } from '../../plan/plan-set.js';
import { setQuery } from '../../plan/plan-set.js';
import { TENANT } from '../../plan/views/set-form.js';
import type { CompiledView } from '../../plan/views/compile-view.js';
import type { Source } from '../../plan/source.js';
import type { DealtQuery } from '../segments/dealer.js';
import { rowsOf } from '../spools/spool-merge.js';
import type { Spool } from '../spools/spool-format.js';
import type { SpoolReader } from '../spools/spool-reader.js';
import { refuseUnreadableArchive, USER_COLUMNS, wantedEmoji, wantedUpload, type EmojiRow, type UploadRow, type UserRow, type WantedRows } from '../wanted/wanted-rows.js';

export const WANTED = ['wanted-users', 'wanted-uploads', 'wanted-emoji', 'wanted-claims'] as const;
type Wanted = (typeof WANTED)[number];

/** @param realmIds of the targets that are still under way @param all uploads are wanted, see holdsAllUploads */
export function wantedQuery(name: Wanted, plan: SetPlan, realmIds: readonly number[], all: boolean): DealtQuery {
  const set = `'{${realmIds.join(',')}}'::bigint[]`;
  const query = (table: string, columns: readonly string[], select: string): DealtQuery => ({ table, columns, keys: columns, stripped: [], select });
  switch (name) {
    case 'wanted-users': return query('zerver_userprofile', ['id', 'email', 'avatar_source', 'avatar_version'], `
      SELECT realm_id AS ${TENANT}, id, email, avatar_source, avatar_version FROM zerver_userprofile WHERE realm_id = ANY (${set}) ORDER BY id`);
    case 'wanted-uploads': return query('zerver_attachment', ['id', 'path_id', 'owner_id', 'size'], `
      SELECT w.${TENANT}, w.id, w.path_id, w.owner_id, w.size FROM (${all ? `SELECT realm_id AS ${TENANT}, id, path_id, owner_id, size FROM zerver_attachment WHERE realm_id = ANY (${set})` : setQuery(plan.compiled.tables.get('zerver_attachment') as CompiledView, plan)}) AS w ORDER BY w.path_id COLLATE "C"`);
    case 'wanted-emoji': return query('zerver_realmemoji', ['file_name', 'name', 'author_id', 'deactivated'], `
      SELECT realm_id AS ${TENANT}, file_name, name, author_id, deactivated FROM zerver_realmemoji WHERE realm_id = ANY (${set}) AND file_name IS NOT NULL ORDER BY file_name COLLATE "C"`);
    case 'wanted-claims': {
      const claims = ['zerver_attachment', 'zerver_archivedattachment'].map((table) => `SELECT realm_id, path_id FROM ${table} WHERE realm_id = ANY (${set})`);
      return query('zerver_archivedattachment', ['path_id'], `SELECT c.realm_id AS ${TENANT}, c.path_id FROM (${claims.join(' UNION ALL ')}) AS c ORDER BY c.path_id COLLATE "C"`);
    }
  }
}

/** Of the whole run. */
export interface WantedSpools {
  readonly reader: SpoolReader;
  readonly spools: ReadonlyMap<Wanted, readonly Spool[]>;
  /** Why the role cannot read the claims; then they have no spool. */
  readonly unreadable: Lost | undefined;
  readonly bots: readonly UserRow[];
}

/** The three system bots, as users of every realm. */
export async function botRows(client: pg.Client, ids: readonly number[]): Promise<UserRow[]> {
  return (await client.query<UserRow>(`SELECT ${USER_COLUMNS} FROM zerver_userprofile WHERE id = ANY ($1)`, [ids])).rows;
}

export async function unreadableClaims(client: pg.Client, source: Source): Promise<Lost | undefined> {
  try {
    await refuseUnreadableArchive(client, source);
    return undefined;
  } catch (error) {
    if (error instanceof Lost) return error;
    throw error;
  }
}

export function spoolsWanted(spools: ReadonlyMap<string, readonly Spool[]>): WantedSpools['spools'] {
  return new Map(WANTED.map((name) => [name, spools.get(name) ?? []]));
}

/** @param ordinal of the target */
export function spooledRows({ reader, spools, unreadable, bots }: WantedSpools, ordinal: number): WantedRows {
  function* rows<T>(name: Wanted): Generator<T> {
    for (const spool of spools.get(name) ?? []) {
      const found = reader.find(spool, ordinal);
      if (found !== undefined) for (const row of rowsOf(reader, found)) yield JSON.parse(row.toString('utf8')) as T;
    }
  }
  /* eslint-disable @typescript-eslint/require-await -- what comes from the disk needs no waiting */
  return {
    users: async () => [...rows<UserRow>('wanted-users'), ...bots].sort((a, b) => a.id - b.id),
    async* uploads() {
      for (const row of rows<UploadRow & { id: number }>('wanted-uploads')) yield wantedUpload({ ...row, id: String(row.id) });
    },
    async* emoji() {
      for (const row of rows<EmojiRow>('wanted-emoji')) yield wantedEmoji(row);
    },
    async* claimed() {
      if (unreadable !== undefined) throw unreadable;
      for (const { path_id: path } of rows<{ path_id: string }>('wanted-claims')) yield path;
    },
  };
}
