/**
 * What a test database says of the files of a realm or a user, read by plain SQL; the rows that the export's own views
 * select are given by the expected export.
 */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { byBytes } from '../../src/files/records.js';
import type { WantedAvatar, WantedEmoji, WantedFiles, WantedUpload } from '../../src/files/wanted-files.js';
import { AREAS } from '../../src/package/export-files.js';
import { AVATAR_SALT } from '../testbed/test-data.js';
import type { Dataset } from '../testbed/test-data.js';

const SYSTEM_BOTS = ['notification-bot@zulip.com', 'emailgateway@zulip.com', 'welcome-bot@zulip.com'];

interface UserRow { id: number; realm_id: number; email: string; avatar_source: string; avatar_version: number }

/** @param expected the unpacked export whose attachment.json says which attachments are exported */
export async function wantedRows(url: string, dataset: Dataset, expected: string, realm: string, user?: string): Promise<WantedFiles> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const select = async <R>(sql: string, values: unknown[] = []): Promise<R[]> => (await client.query(sql, values)).rows as R[];
    const [{ id: realmId }] = (await select<{ id: number }>('SELECT id FROM zulip.zerver_realm WHERE string_id = $1', [realm])) as [{ id: number }];
    const users = await select<UserRow>('SELECT id, realm_id, email, avatar_source, avatar_version FROM zulip.zerver_userprofile WHERE realm_id = $1 OR email = ANY($2)', [realmId, SYSTEM_BOTS]);
    const byId = new Map(users.map((row) => [row.id, row]));
    const single = user === undefined ? undefined : users.find(({ email }) => email === user)?.id;
    const uploads = await select<WantedUpload>(`
      SELECT id AS "attachmentId", path_id AS "pathId", owner_id AS "ownerId", size
      FROM zulip.zerver_attachment WHERE realm_id = $1 AND ($2::int IS NULL OR owner_id = $2) ORDER BY path_id COLLATE "C"`, [realmId, single ?? null]);
    const claimed = await select<{ path: string }>(`
      SELECT path_id AS path FROM zulip.zerver_attachment WHERE realm_id = $1
      UNION SELECT path_id FROM zulip.zerver_archivedattachment WHERE realm_id = $1`, [realmId]);
    const emoji = await select<WantedEmoji>(`
      SELECT file_name AS "fileName", name, author_id AS "authorId", deactivated
      FROM zulip.zerver_realmemoji WHERE realm_id = $1 AND ($2::int IS NULL OR author_id = $2)`, [realmId, single ?? null]);
    const major = Number(/^zulip-(\d+)/.exec(dataset)?.[1]);
    const rules = { emojiOriginals: major >= 10, avatarVersions: major >= 10, ownerAddresses: major < 12, uploadedAvatarsAlone: major >= 12 };
    const exported = exportedAttachments(expected);
    const avatars = users.filter(({ id }) => single === undefined || id === single).map((row): WantedAvatar => ({
      userId: row.id, avatarSource: row.avatar_source, avatarVersion: row.avatar_version,
      hash: avatarHash(row, AVATAR_SALT[dataset], rules.avatarVersions),
    }));
    return {
      realmId, rules, areas: AREAS.filter((area) => area !== 'realm_icons' || single === undefined),
      uploads: () => each(uploads.filter(({ attachmentId }) => exported?.has(Number(attachmentId)) ?? true)),
      avatars: () => each(avatars),
      emoji: () => each(emoji),
      emailOf: (id) => byId.get(id)?.email,
      mayOwnUpload: (id) => byId.has(id),
      isRealmUser: (id) => (single === undefined ? byId.get(id)?.realm_id === realmId : id === single),
      ...(single === undefined ? { claimedUploads: () => each(claimed.map(({ path }) => path).sort(byBytes)) } : {}),
      emailGatewayBotId: single === undefined ? users.find(({ email }) => email.startsWith('emailgateway@'))?.id : undefined,
    };
  } finally {
    await client.end();
  }
}

/** Ids of the exported attachments; undefined for a single user's export, which has all of the user's. */
function exportedAttachments(expected: string): Set<number> | undefined {
  const file = join(expected, 'attachment.json');
  if (!existsSync(file)) return undefined;
  const { zerver_attachment: rows } = JSON.parse(readFileSync(file, 'utf8')) as { zerver_attachment: { id: number }[] };
  return new Set(rows.map(({ id }) => id));
}

function avatarHash({ id, avatar_version: version }: UserRow, salt: string, versioned: boolean): string {
  return versioned
    ? createHash('sha256').update(`${id}:${version}:${salt}`).digest('hex').slice(0, 40)
    : createHash('sha1').update(`${id}${salt}`).digest('hex');
}

// eslint-disable-next-line @typescript-eslint/require-await -- an iterable of the shape that a cursor has
export async function* each<T>(rows: Iterable<T>): AsyncGenerator<T> {
  yield* rows;
}
