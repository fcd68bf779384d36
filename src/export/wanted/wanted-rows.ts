/** The rows that the files stage asks for, streamed out of the snapshot by a session. */
import type pg from 'pg';
import { Lost } from '../../files/file-store.js';
import type { WantedEmoji, WantedUpload } from '../../files/wanted-files.js';
import { withSelections, type CompiledView } from '../../plan/views/compile-view.js';
import { followsRule } from '../../plan/release/file-rules.js';
import { inline } from '../../plan/parameters.js';
import type { ExportPlan } from '../../plan/plan-export.js';
import type { Source } from '../../plan/source.js';

/** Does the export hold every upload of the realm, also those that only rows which stay name? */
export function holdsAllUploads({ version }: Source): boolean {
  return !followsRule('only uploads that exported rows name', version.zerverMigration);
}

/** Query of the uploads that the export holds: id, path_id, owner_id and size of each. @param all of the realm, or only those that exported rows name */
export function uploadsQuery({ request: { realm, userId, approved }, compiled, parameters }: ExportPlan, source: Source, all = holdsAllUploads(source)): string {
  const attachments = (whose: string): string => `SELECT a.id, a.path_id, a.owner_id, a.size FROM zerver_attachment a WHERE ${whose}`;
  if (userId !== undefined) return attachments(`a.owner_id = ${userId}`);
  if (all && approved === undefined) return attachments(`a.realm_id = ${realm.id}`);
  const named = `SELECT q.id, q.path_id, q.owner_id, q.size FROM (${inline(withSelections(compiled.tables.get('zerver_attachment') as CompiledView, compiled.selections), parameters)}) AS q`;
  // Of a list of approved users, what only rows that stay name travels where it is theirs; of others not even its name does.
  return all ? `${named} UNION ${attachments(`a.realm_id = ${realm.id} AND a.owner_id = ANY ('{${parameters.consenting_user_ids.join(',')}}')`)}` : named;
}

/** Rows fetched at once. */
const FETCH = 2000;

/** A user of the realm, or one of the three system bots. */
export interface UserRow {
  readonly id: number;
  readonly email: string;
  readonly avatar_source: string;
  readonly avatar_version: number;
}

export interface WantedRows {
  /** Rising by id. */
  users(): Promise<readonly UserRow[]>;
  /** By the bytes of their path. */
  uploads(): AsyncIterable<WantedUpload>;
  /** By the bytes of their file's name. */
  emoji(): AsyncIterable<WantedEmoji>;
  /** Paths of all attachments, exported or not, by their bytes. @throws Lost when the role cannot read them all */
  claimed(): AsyncIterable<string>;
}

export interface UploadRow {
  readonly id: string;
  readonly path_id: string;
  readonly owner_id: number;
  readonly size: number | null;
}

export interface EmojiRow {
  readonly file_name: string;
  readonly name: string;
  readonly author_id: number | null;
  readonly deactivated: boolean;
}

export function wantedUpload({ id, path_id: pathId, owner_id: ownerId, size }: UploadRow): WantedUpload {
  return { attachmentId: id, pathId, ownerId, size };
}

export function wantedEmoji({ file_name: fileName, name, author_id: authorId, deactivated }: EmojiRow): WantedEmoji {
  return { fileName, name, authorId, deactivated };
}

/** Columns of the users' rows. */
export const USER_COLUMNS = 'id::float8 AS id, email, avatar_source, avatar_version::int AS avatar_version';

/** @throws Lost when the role cannot read the rows of attachments that were archived */
export async function refuseUnreadableArchive(client: pg.Client, { catalog }: Source): Promise<void> {
  const { rows: [archive] } = await client.query<{ readable: boolean | null }>("SELECT has_column_privilege(to_regclass('zerver_archivedattachment'), 'path_id', 'SELECT') AS readable");
  if (archive?.readable !== true || catalog.get('zerver_archivedattachment')?.policed === true) throw new Lost('unreadable', 'the role cannot read zerver_archivedattachment, whose rows claim files too');
}

/** @param client a session in the snapshot, used by nobody else while files are pulled */
export function wantedRows(client: pg.Client, plan: ExportPlan, source: Source, all = holdsAllUploads(source)): WantedRows {
  const { request: { realm: { id: realmId }, userId }, parameters } = plan;
  return {
    async users() {
      const { rows: users } = await client.query<UserRow>(`
        SELECT ${USER_COLUMNS} FROM zerver_userprofile
        WHERE ${userId === undefined ? `(realm_id = ${realmId} OR id = ANY ('{${parameters.cross_realm_bot_ids.join(',')}}'))` : `id = ${userId}`} ORDER BY id`);
      return users;
    },
    async* uploads() {
      for await (const row of rows<UploadRow>(client, `
        SELECT w.id::text AS id, w.path_id, w.owner_id::float8 AS owner_id, w.size::float8 AS size FROM (${uploadsQuery(plan, source, all)}) AS w ORDER BY w.path_id COLLATE "C"`)) yield wantedUpload(row);
    },
    async* emoji() {
      const author = userId === undefined ? '' : ` AND author_id = ${userId}`;
      for await (const row of rows<EmojiRow>(client, `
        SELECT file_name, name, author_id::float8 AS author_id, deactivated FROM zerver_realmemoji
        WHERE realm_id = ${realmId}${author} AND file_name IS NOT NULL ORDER BY file_name COLLATE "C"`)) yield wantedEmoji(row);
    },
    async* claimed() {
      await refuseUnreadableArchive(client, source);
      const claims = ['zerver_attachment', 'zerver_archivedattachment'].map((table) => `SELECT path_id FROM ${table} WHERE realm_id = ${realmId}`);
      for await (const { path_id: path } of rows<{ path_id: string }>(client, `SELECT path_id FROM (${claims.join(' UNION ALL ')}) AS claimed ORDER BY path_id COLLATE "C"`)) yield path;
    },
  };
}

/** Streams a query's rows through a cursor. */
async function* rows<T extends pg.QueryResultRow>(client: pg.Client, query: string): AsyncGenerator<T> {
  await client.query(`DECLARE wanted NO SCROLL CURSOR FOR ${query}`);
  try {
    for (;;) {
      const fetched = await client.query<T>(`FETCH ${FETCH} FROM wanted`);
      yield* fetched.rows;
      if (fetched.rows.length < FETCH) break;
    }
  } finally {
    // Also when the reader has enough; after an error of the query the transaction is no good, and that error is told.
    await client.query('CLOSE wanted').catch(() => undefined);
  }
}
