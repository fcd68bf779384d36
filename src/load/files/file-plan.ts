/** Where each file of an export goes on the new server, and with which attributes: those that its own uploads would have. */
import type pg from 'pg';
import type { FileLine } from '../../pipe/file-lines.js';
import type { LoadableExport } from '../source/loadable-export.js';
import { recordedAvatars } from '../../pipe/recorded-avatars.js';
import { avatarHash } from '../../plan/avatar-hash.js';
import { followsRule } from '../../plan/release/file-rules.js';
import type { IdSpace } from '../../remap/id-space.js';
import { newUploadPath, type RealmNumbers } from '../../remap/upload-path.js';
import { typeByName } from './image-types.js';

/** A file on its way. */
export interface PlannedFile {
  /** In the export. */
  readonly path: string;
  readonly size: number;
  readonly sha256: string;
  /** Below which of the server's two places. */
  readonly area: 'files' | 'avatars';
  readonly key: string;
  /** Under which the old server had it. */
  readonly oldKey: string | undefined;
  readonly attributes: FileAttributes;
  /** Seconds since the epoch. */
  readonly modified: number | undefined;
  readonly image: { readonly kind: 'avatar'; readonly user: number } | { readonly kind: 'emoji'; readonly fileName: string } | undefined;
}

/** Of an object in S3. */
export interface FileAttributes {
  readonly contentType: string;
  readonly contentDisposition?: string;
  readonly cacheControl?: string;
  readonly metadata: Readonly<Record<string, string>>;
}

export interface FilePlanContext {
  readonly realms: RealmNumbers;
  readonly users: IdSpace;
  /** The new server's avatar_salt. */
  readonly salt: string | undefined;
  /** The new server's. */
  readonly zerverMigration: number;
  /** Where the new server keeps its files. */
  readonly place: 'directory' | 'buckets';
  /** The first active owner, to whom belongs what names nobody. */
  readonly owner: number | undefined;
}

/** What a row of zerver_attachment says of its file. */
export interface UploadRow {
  readonly fileName: string;
  readonly contentType: string | null;
  readonly owner: number;
}

type FileRecord = Readonly<Record<string, unknown>>;

/** Types that browsers are let show (zerver/lib/mime_types.py, INLINE_MIME_TYPES); others are downloaded. */
const INLINE = new Set([
  'application/pdf', 'audio/aac', 'audio/flac', 'audio/mp4', 'audio/mpeg', 'audio/wav', 'audio/webm', 'image/apng', 'image/avif', 'image/gif', 'image/jpeg', 'image/png', 'image/webp',
  'text/plain', 'video/mp4', 'video/webm',
]);
/** Names of avatars and emoji change with their content (zerver/lib/upload/s3.py). */
const FOR_EVER = 'public, max-age=31536000, immutable';
const UNKNOWN_TYPE = 'application/octet-stream';

/** @param client finds the rows of attachments, which are there already */
export async function planFiles(client: pg.Client, lines: readonly FileLine[], context: FilePlanContext): Promise<PlannedFile[]> {
  const rows = await uploadRows(client, lines.filter(({ file }) => file === 'uploads').map(({ path }) => uploadKey(path, context)));
  return lines.map((line) => planFile(line, context, rows.get(uploadKey(line.path, context))));
}

/** @param row of the attachment, on the new server */
export function planFile(line: FileLine, context: FilePlanContext, row?: UploadRow): PlannedFile {
  const { path, size, sha256 } = line;
  const record = (line.record ?? {}) as FileRecord;
  const modified = modifiedOf(record);
  const common = { path, size, sha256, modified, oldKey: typeof record['s3_path'] === 'string' ? record['s3_path'] : undefined };
  const realm = context.realms.new;
  const name = path.slice(path.lastIndexOf('/') + 1);
  const recorded = typeof record['content_type'] === 'string' ? record['content_type'] : undefined;
  const metadata = (user: number | undefined, more: Record<string, string> = {}): Record<string, string> => ({
    ...(user === undefined ? {} : { user_profile_id: String(user) }), realm_id: String(realm), ...(modified === undefined ? {} : { orig_last_modified: String(modified) }), ...more,
  });
  switch (line.file) {
    case 'uploads': {
      const contentType = row?.contentType ?? recorded ?? typeByName(path) ?? UNKNOWN_TYPE;
      const attributes = { contentType, metadata: metadata(row?.owner ?? userOf(record['user_profile_id'], context)), ...(row === undefined ? {} : { contentDisposition: disposition(contentType, row.fileName) }) };
      return { ...common, area: 'files', key: uploadKey(path, context), attributes, image: undefined };
    }
    case 'avatars': {
      const user = userOf(record['user_profile_id'], context);
      const version = typeof record['avatar_version'] === 'number' ? record['avatar_version'] : 1;
      const contentType = path.endsWith('.original') ? recorded ?? UNKNOWN_TYPE : 'image/png';
      const attributes = { contentType, cacheControl: FOR_EVER, metadata: metadata(user, { avatar_version: String(version) }) };
      return { ...common, area: 'avatars', key: user === undefined ? `${realm}/${name}` : avatarKey(user, version, path, context), attributes, image: user === undefined ? undefined : { kind: 'avatar', user } };
    }
    case 'emoji': {
      const fileName = name.replace(/\.original$/, '');
      const attributes = { contentType: recorded ?? typeByName(fileName) ?? UNKNOWN_TYPE, cacheControl: FOR_EVER, metadata: metadata(userOf(record['author'], context) ?? context.owner) };
      return { ...common, area: 'avatars', key: `${realm}/emoji/images/${name}`, attributes, image: { kind: 'emoji', fileName } };
    }
    default: {
      return { ...common, area: 'avatars', key: `${realm}/realm/${name}`, attributes: { contentType: recorded ?? typeByName(name) ?? UNKNOWN_TYPE, metadata: metadata(context.owner) }, image: undefined };
    }
  }
}

/** Old names of avatars to new ones, as texts and HTML name them. */
export function avatarRenames(source: LoadableExport, context: Pick<FilePlanContext, 'salt' | 'users' | 'zerverMigration'>): Map<string, string> {
  const names = new Map<string, string>();
  const { salt, users, zerverMigration } = context;
  if (salt === undefined) return names;
  for (const { hash, userId: old, avatarVersion } of recordedAvatars(source)) {
    const userId = users.get(old);
    if (userId !== undefined) names.set(hash, avatarHash({ userId, avatarVersion, email: '' }, salt, zerverMigration));
  }
  return names;
}

/** Where an upload goes, which is the `path_id` of its row: `uploads/2/ab/x.png` -> `1002/ab/x.png`. */
function uploadKey(path: string, { realms }: FilePlanContext): string {
  return newUploadPath(path.slice(path.indexOf('/') + 1), realms);
}

/** In the buckets of older servers the picture itself has no `.png`. */
export function hasBareAvatars({ place, zerverMigration }: Pick<FilePlanContext, 'place' | 'zerverMigration'>): boolean {
  return place === 'buckets' && !followsRule('avatars named after user and version', zerverMigration);
}

/** `3/HASH.original` */
function avatarKey(userId: number, avatarVersion: number, path: string, plan: FilePlanContext): string {
  const { realms, salt, zerverMigration } = plan;
  return `${realms.new}/${avatarHash({ userId, avatarVersion, email: '' }, salt ?? '', zerverMigration)}${path.endsWith('.original') ? '.original' : hasBareAvatars(plan) ? '' : '.png'}`;
}

function userOf(id: unknown, { users }: FilePlanContext): number | undefined {
  return typeof id === 'number' ? users.get(id) : undefined;
}

/** Local files have seconds; objects a time in ISO 8601. */
function modifiedOf({ last_modified: value }: FileRecord): number | undefined {
  if (typeof value === 'number') return value;
  const millis = typeof value === 'string' ? Date.parse(value) : NaN;
  return Number.isNaN(millis) ? undefined : millis / 1000;
}

/** As Django writes it (django/utils/http.py, content_disposition_header), but for names that no header can hold, such as one with a newline. */
function disposition(contentType: string, fileName: string): string {
  const how = INLINE.has(contentType) ? 'inline' : 'attachment';
  if (/^[\x20-\x7e]*$/.test(fileName)) return `${how}; filename="${fileName.replace(/[\\"]/g, '\\$&')}"`;
  const quoted = encodeURIComponent(fileName).replace(/[!'()*]/g, (found) => `%${found.charCodeAt(0).toString(16).toUpperCase()}`).replaceAll('%2F', '/');
  return `${how}; filename*=utf-8''${quoted}`;
}

/** See {@link FilePlanContext}. @param client of the new server */
export async function firstOwner(client: pg.Client, realm: number): Promise<number | undefined> {
  const { rows: [first] } = await client.query<{ id: number | null }>('SELECT min(id)::float8 AS id FROM zerver_userprofile WHERE realm_id = $1 AND is_active AND role = 100', [realm]);
  return first?.id ?? undefined;
}

/** Rows of attachments by their path. */
export async function uploadRows(client: pg.Client, paths: readonly string[]): Promise<Map<string, UploadRow>> {
  if (paths.length === 0) return new Map();
  const { rows } = await client.query<{ path: string; name: string; type: string | null; owner: number }>(
    // Older versions have no column for the type.
    "SELECT path_id AS path, file_name AS name, to_jsonb(a) ->> 'content_type' AS type, owner_id::float8 AS owner FROM zerver_attachment a WHERE path_id = ANY ($1)", [paths]);
  return new Map(rows.map(({ path, name, type, owner }) => [path, { fileName: name, contentType: type, owner }]));
}
