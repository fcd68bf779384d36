/**
 * Which objects of the buckets an export holds, and their records, as Zulip's own export has them; and what it cannot
 * do: go on where an object's metadata is missing, of another system, or at odds with the database.
 * Keys: `PATH_ID` in the uploads bucket; `R/HASH[.original]`, `R/emoji/images/NAME[.original]`, `R/realm/*` in the other.
 */
import type { OwnerSource } from '../file-events.js';
import { Lost } from '../file-store.js';
import type { Candidate, ObjectInfo, StoredFile, Verdict } from '../file-store.js';
import { byBytes, ownerRecord } from '../records.js';
import type { FileRecord } from '../records.js';
import type { Area } from '../../package/export-files.js';
import type { WantedAvatar, WantedFiles } from '../wanted-files.js';

/** Lists the avatars bucket below a prefix; `directOnly` without what lies below a further `/`. */
export type ListAvatarsBucket = (prefix: string, directOnly: boolean) => AsyncIterable<StoredFile>;

/**
 * Users up to which their avatars are asked for one by one: two requests each, most of them for users without one.
 * A listing costs one request for each 1000 objects of the realm.
 */
const LISTING_PAYS_FROM = 8;

/** @param listed whether each is to have what a listing shows of it, also where to ask for it would cost less */
export function s3Candidates(area: Area, wanted: WantedFiles, list: ListAvatarsBucket, listed: boolean): AsyncIterable<Candidate> {
  switch (area) {
    case 'uploads': return uploads(wanted);
    case 'avatars': return avatars(wanted, list, listed);
    case 'emoji': return emoji(wanted);
    case 'realm_icons': return realmIcons(wanted, list);
  }
}

async function* uploads(wanted: WantedFiles): AsyncGenerator<Candidate> {
  for await (const upload of wanted.uploads()) {
    const { pathId, ownerId } = upload;
    yield {
      area: 'uploads', key: pathId, path: pathId, upload,
      ...(wanted.mayOwnUpload(ownerId) ? {} : { refused: 'owner' }),
      travels: true,
      judge: (info) => judge(wanted, pathId, info, ownerId, 'attachment row'),
    };
  }
}

async function* avatars(wanted: WantedFiles, list: ListAvatarsBucket, always: boolean): AsyncGenerator<Candidate> {
  const users = new Map<string, WantedAvatar>();
  const travels = (user: WantedAvatar): boolean => wanted.isRealmUser(user.userId) && (user.avatarSource === 'U' || !wanted.rules.uploadedAvatarsAlone);
  for await (const user of wanted.avatars?.() ?? []) if (travels(user)) users.set(user.hash, user);

  const { realmId, rules } = wanted;
  const listed = users.size < LISTING_PAYS_FROM && !always ? undefined : await listAvatars(users, `${realmId}/`, list);
  const candidates: Candidate[] = [];
  for (const user of users.values()) {
    // Up to 9.x HASH was the picture shown; later it is HASH.png, which Zulip does not export.
    for (const [name, expected] of [[user.hash, !rules.avatarVersions], [`${user.hash}.original`, true]] as const) {
      const object = listed?.get(name);
      const uploaded = user.avatarSource === 'U' && expected;
      // An uploaded avatar that no page of the listing has is asked for, before it is said to be missing.
      if (listed !== undefined && object === undefined && !uploaded) continue;
      const key = `${realmId}/${name}`;
      candidates.push({
        area: 'avatars', key, path: key, listed: object,
        optional: !uploaded, travels: true,
        judge: (info) => judge(wanted, key, info, user.userId, 'avatar hash', rules.avatarVersions ? { avatar_version: user.avatarVersion } : {}),
      });
    }
  }
  yield* candidates.sort((a, b) => byBytes(a.path, b.path));
}

/** The users' objects by the name behind the prefix; undefined when the listing fails, since they can also be asked for one by one. */
async function listAvatars(users: ReadonlyMap<string, WantedAvatar>, prefix: string, list: ListAvatarsBucket): Promise<Map<string, StoredFile> | undefined> {
  const listed = new Map<string, StoredFile>();
  try {
    for await (const object of list(prefix, true)) {
      const name = object.key.slice(prefix.length);
      if (users.has(name.replace(/\.original$/, ''))) listed.set(name, object);
    }
  } catch (error) {
    if (error instanceof Lost) return undefined;
    throw error;
  }
  return listed;
}

async function* emoji(wanted: WantedFiles): AsyncGenerator<Candidate> {
  // By path: rows of old servers may share a file.
  const candidates = new Map<string, Candidate>();
  for await (const { fileName, authorId } of wanted.emoji()) {
    for (const suffix of wanted.rules.emojiOriginals ? ['', '.original'] : ['']) {
      const key = `${wanted.realmId}/emoji/images/${fileName}${suffix}`;
      const author = authorId !== null && wanted.isRealmUser(authorId) ? authorId : undefined;
      candidates.set(key, { area: 'emoji', key, path: key, travels: author !== undefined, judge: (info) => judge(wanted, key, info, author, 'emoji row', { file_name: fileName }) });
    }
  }
  yield* [...candidates.values()].sort((a, b) => byBytes(a.path, b.path));
}

async function* realmIcons(wanted: WantedFiles, list: ListAvatarsBucket): AsyncGenerator<Candidate> {
  const candidates: Candidate[] = [];
  for await (const listed of list(`${wanted.realmId}/realm/`, false)) {
    const { key } = listed;
    if (!key.endsWith('/')) candidates.push({ area: 'realm_icons', key, path: key, listed, judge: (info) => judge(wanted, key, info, undefined, 'nobody') });
  }
  yield* candidates.sort((a, b) => byBytes(a.path, b.path));
}

/**
 * Decides whether the object may travel and makes its record.
 *
 * Zulip believes the metadata and stops where there is none. The database knows better whose file it is: its row, or the
 * user whose salted hash is the file's name. Where metadata and database agree the record is Zulip's own; where they do not, it is
 * the database's, and the ledger says so. Only an object of which the database names no owner (an icon) lives by its metadata.
 */
function judge(wanted: WantedFiles, key: string, info: ObjectInfo, owner: number | undefined, source: OwnerSource, extra: FileRecord = {}): Verdict {
  const { user_profile_id: userText, realm_id: realmText, ...others } = info.metadata;
  const user = id(userText);
  const realm = id(realmText);
  const known = user !== undefined && (wanted.isRealmUser(user) || user === wanted.emailGatewayBotId);
  if (owner === undefined && user !== undefined && !known) return { take: false };

  const problem = user === undefined || realm === undefined ? 'absent'
    : !known || (realm !== wanted.realmId && user !== wanted.emailGatewayBotId) ? 'foreign'
      : owner !== undefined && owner !== user ? 'contradictory' : undefined;
  const final = owner ?? user;
  const version = id(others.avatar_version);
  const record: FileRecord = {
    ...others, ...extra,
    ...(version === undefined ? {} : { avatar_version: version }),
    s3_path: key, bucket: info.bucket ?? '', size: info.size, last_modified: info.lastModified, content_type: info.contentType, md5: info.etag ?? null,
    ...(final === undefined ? {} : ownerRecord(wanted, final)),
    realm_id: wanted.realmId, path: key,
  };
  return { take: true, record, ...(problem === undefined ? {} : { oddMetadata: { problem, ownerFrom: owner === undefined ? 'nobody' : source } }) };
}

/** Keys of a record that are not among its object's metadata. */
const OUR_KEYS = new Set(['s3_path', 'path', 'bucket', 'size', 'last_modified', 'content_type', 'md5', 'user_profile_email']);

/** What an object said of itself, out of the record that was made of it. Where the two differed, it now says what the database did. */
export function infoOfRecord(record: FileRecord): ObjectInfo {
  const { bucket, size, last_modified: lastModified, content_type: contentType, md5 } = record;
  const metadata = Object.entries(record).filter(([name]) => !OUR_KEYS.has(name));
  return {
    size: size as number, lastModified: lastModified as string, contentType: contentType as string | null, etag: (md5 ?? undefined) as string | undefined, bucket: bucket as string,
    metadata: Object.fromEntries(metadata.map(([name, value]) => [name, String(value)])),
  };
}

/** A positive integer as metadata spells it; undefined for anything else. */
function id(text: string | undefined): number | undefined {
  return text !== undefined && /^[0-9]{1,15}$/.test(text) ? Number(text) : undefined;
}
