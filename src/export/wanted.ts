/** What the files stage is told: the files that the exported rows name, streamed out of the snapshot. */
import type pg from 'pg';
import type { FileSkipped } from '../files/file-events.js';
import { Lost } from '../files/file-store.js';
import { AREAS, type Area, type WantedAvatar, type WantedEmoji, type WantedFiles, type WantedUpload } from '../files/wanted-files.js';
import { avatarHash } from '../plan/avatar-hash.js';
import { withSelections, type CompiledView } from '../plan/compile-view.js';
import { followsRule, type FileRule } from '../plan/file-rules.js';
import { inline } from '../plan/parameters.js';
import type { ExportPlan } from '../plan/plan-export.js';
import type { Source } from '../plan/source.js';

/** Rows fetched at once. */
const FETCH = 2000;

export interface WantedOptions {
  /** The server's avatar_salt; undefined leaves avatars out. */
  readonly salt: string | undefined;
  /** Users whose files may travel; undefined for everybody in the export. */
  readonly owners: ReadonlySet<number> | undefined;
  /** Told of each file that stays because of `owners`. */
  readonly onSkipped: (event: FileSkipped) => void | Promise<void>;
}

/** @param client a session in the snapshot, used by nobody else while files are pulled */
export async function wantedFiles(client: pg.Client, plan: ExportPlan, source: Source, { salt, owners, onSkipped }: WantedOptions): Promise<WantedFiles> {
  const { request, parameters } = plan;
  const realmId = request.realm.id;
  const { userId } = request;
  const { zerverMigration } = source.version;
  const users = await client.query<{ id: number; email: string; avatar_source: string; avatar_version: number }>(`
    SELECT id::float8 AS id, email, avatar_source, avatar_version::int AS avatar_version FROM zerver_userprofile
    WHERE ${userId === undefined ? `(realm_id = ${realmId} OR id = ANY ('{${parameters.cross_realm_bot_ids.join(',')}}'))` : `id = ${userId}`} ORDER BY id`);
  const emails = new Map(users.rows.map((user) => [user.id, user.email]));
  const bots = new Set(parameters.cross_realm_bot_ids);

  async function* avatars(): AsyncGenerator<WantedAvatar> {
    for (const user of users.rows) {
      if (owners?.has(user.id) === false) {
        if (user.avatar_source === 'U') await onSkipped({ kind: 'skipped', area: 'avatars', key: `user ${user.id}` });
        continue;
      }
      const owner = { userId: user.id, avatarVersion: user.avatar_version, email: user.email };
      yield { userId: user.id, avatarSource: user.avatar_source, avatarVersion: user.avatar_version, hash: avatarHash(owner, salt as string, zerverMigration) };
    }
  }
  async function* uploads(): AsyncGenerator<WantedUpload> {
    for await (const row of rows<{ id: string; path_id: string; owner_id: number; size: number | null }>(client, `
      SELECT w.id::text AS id, w.path_id, w.owner_id::float8 AS owner_id, w.size::float8 AS size FROM (${uploadsQuery(plan, source)}) AS w ORDER BY w.path_id COLLATE "C"`)) {
      yield { attachmentId: row.id, pathId: row.path_id, ownerId: row.owner_id, size: row.size };
    }
  }
  async function* emoji(): AsyncGenerator<WantedEmoji> {
    const author = userId === undefined ? '' : ` AND author_id = ${userId}`;
    for await (const row of rows<{ file_name: string; name: string; author_id: number | null; deactivated: boolean }>(client, `
      SELECT file_name, name, author_id::float8 AS author_id, deactivated FROM zerver_realmemoji
      WHERE realm_id = ${realmId}${author} AND file_name IS NOT NULL ORDER BY file_name COLLATE "C"`)) {
      yield { fileName: row.file_name, name: row.name, authorId: row.author_id, deactivated: row.deactivated };
    }
  }
  async function* claimedUploads(): AsyncGenerator<string> {
    const { rows: [archive] } = await client.query<{ readable: boolean | null }>("SELECT has_column_privilege(to_regclass('zerver_archivedattachment'), 'path_id', 'SELECT') AS readable");
    if (archive?.readable !== true || source.catalog.get('zerver_archivedattachment')?.policed === true) throw new Lost('unreadable', 'the role cannot read zerver_archivedattachment, whose rows claim files too');
    const claims = ['zerver_attachment', 'zerver_archivedattachment'].map((table) => `SELECT path_id FROM ${table} WHERE realm_id = ${realmId}`);
    for await (const { path_id: path } of rows<{ path_id: string }>(client, `SELECT path_id FROM (${claims.join(' UNION ALL ')}) AS claimed ORDER BY path_id COLLATE "C"`)) yield path;
  }
  const gateway = source.systemBots.find((bot) => bot.email === 'emailgateway@zulip.com');
  return {
    realmId,
    rules: {
      emojiOriginals: followsRule('emoji with their originals', zerverMigration),
      avatarVersions: followsRule('avatars named after user and version', zerverMigration),
      uploadedAvatarsAlone: followsRule('uploaded avatars alone', zerverMigration),
      ownerAddresses: !followsRule('records of files without addresses', zerverMigration),
    },
    uploads, avatars: salt === undefined ? undefined : avatars, emoji,
    areas: areasOf(plan, source),
    emailOf: (id) => emails.get(id),
    isRealmUser: (id) => emails.has(id) && !bots.has(id),
    mayOwnUpload: (id) => emails.has(id) && owners?.has(id) !== false,
    emailGatewayBotId: userId === undefined ? gateway?.id : undefined,
    // An export of single or approved users leaves others' files on purpose: what it does not name is no orphan.
    ...(userId === undefined && owners === undefined ? { claimedUploads } : {}),
  };
}

/** Query of the uploads that the export holds: id, path_id, owner_id and size of each. */
export function uploadsQuery({ request: { realm, userId }, compiled, parameters }: ExportPlan, source: Source): string {
  const attachments = (whose: string): string => `SELECT a.id, a.path_id, a.owner_id, a.size FROM zerver_attachment a WHERE ${whose}`;
  if (userId !== undefined) return attachments(`a.owner_id = ${userId}`);
  if (holdsAllUploads(source)) return attachments(`a.realm_id = ${realm.id}`);
  return `SELECT q.id, q.path_id, q.owner_id, q.size FROM (${inline(withSelections(compiled.tables.get('zerver_attachment') as CompiledView, compiled.selections), parameters)}) AS q`;
}

/** Does the export hold every upload of the realm, also those that only rows which stay name? */
export function holdsAllUploads({ version }: Source): boolean {
  return !followsRule('only uploads that exported rows name', version.zerverMigration);
}

/** The directories of files that the export has. */
export function areasOf({ request }: ExportPlan, { version }: Source): Area[] {
  const follows = (rule: FileRule): boolean => followsRule(rule, version.zerverMigration);
  if (request.userId !== undefined) return follows('files of single users') ? AREAS.filter((area) => area !== 'realm_icons') : [];
  return AREAS.filter((area) => area !== 'realm_icons' || follows('icons and logos'));
}

/** True when avatars of the realm can be found only by the salted hash. */
export async function needsSalt(client: pg.Client, plan: ExportPlan): Promise<boolean> {
  const { realm, userId } = plan.request;
  const { rows: found } = await client.query(`
    SELECT 1 FROM zerver_userprofile WHERE avatar_source = 'U' AND ${userId === undefined ? `realm_id = ${realm.id}` : `id = ${userId}`} LIMIT 1`);
  return found.length > 0;
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
