/** A realm made of a few uploads in a real S3 server, pulled through whatever the test puts between. */
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { S3Client } from '@aws-sdk/client-s3';
import { PutObjectCommand } from '@aws-sdk/client-s3';
import type { FileDone, FileEvent, FilesResult } from '../../src/files/file-events.js';
import type { FileStore } from '../../src/files/file-store.js';
import { pullFiles } from '../../src/files/pull-files.js';
import type { PullOptions } from '../../src/files/pull-files.js';
import type { S3StoreSettings } from '../../src/files/s3/s3-store.js';
import { openS3Store } from '../../src/files/s3/s3-store.js';
import type { WantedFiles, WantedUpload } from '../../src/files/wanted-files.js';
import { AREAS } from '../../src/package/export-files.js';
import { BUCKETS } from '../testbed/s3-server.js';
import { each } from './wanted-rows.js';

/** Ranges small enough that a few hundred kilobytes are a large object. */
export const PART = 64 * 1024;
export const REALM = 2;
/** The user who owns everything, unless a test says otherwise. */
export const OWNER = 7;

export interface Upload extends WantedUpload {
  readonly content: Buffer;
}

export function upload(id: number, name: string, size: number): Upload {
  return { attachmentId: String(id), pathId: `${REALM}/${String(id).padStart(4, '0')}/${name}`, ownerId: OWNER, size, content: randomBytes(size) };
}

export async function putUploads(client: S3Client, uploads: readonly Upload[], metadata: Record<string, string> = { user_profile_id: String(OWNER), realm_id: String(REALM) }): Promise<void> {
  for (const { pathId, content } of uploads) {
    await client.send(new PutObjectCommand({ Bucket: BUCKETS.uploads, Key: pathId, Body: content, ContentType: 'application/octet-stream', Metadata: metadata }));
  }
}

/** A realm whose users are OWNER and `others`, with these uploads alone. */
export function wantedUploads(uploads: readonly WantedUpload[], more: Partial<WantedFiles> = {}): WantedFiles {
  return {
    realmId: REALM, rules: { emojiOriginals: true, avatarVersions: true, ownerAddresses: true, uploadedAvatarsAlone: false }, areas: AREAS.filter((area) => area !== 'realm_icons'),
    uploads: () => each(uploads), avatars: () => each([]), emoji: () => each([]),
    emailOf: (id) => (id === OWNER ? 'owner@acme.example' : undefined), isRealmUser: (id) => id === OWNER, mayOwnUpload: (id) => id === OWNER, emailGatewayBotId: undefined,
    ...more,
  };
}

/** Runs `work` with a store at `endpoint` that gives up soon. */
export async function withStore<T>(endpoint: string, settings: Partial<S3StoreSettings>, work: (store: FileStore) => Promise<T>): Promise<T> {
  const store = await openS3Store({
    endpoint, region: 'us-east-1', uploadsBucket: BUCKETS.uploads, avatarsBucket: BUCKETS.avatars, partSize: PART, attempts: 4, backoff: 20,
    credentials: { accessKeyId: 'S3RVER', secretAccessKey: 'S3RVER' }, ...settings,
  });
  try {
    return await work(store);
  } finally {
    store.close();
  }
}

export interface Pulled {
  readonly result: FilesResult;
  readonly events: readonly FileEvent[];
  /** What is in uploads/records.json. */
  readonly records: readonly Record<string, unknown>[];
  /** Ids of the uploads whose file is in the export; each was compared with its content. */
  readonly whole: readonly string[];
  /** `key: reason` of each loss told. */
  readonly lost: readonly string[];
}

/** Pulls into `directory` and compares every file there with what was put: no file may differ or be one that nobody told of. */
export async function pull(store: FileStore, uploads: readonly Upload[], directory: string, options: PullOptions = {}, more: Partial<WantedFiles> = {}): Promise<Pulled> {
  const events: FileEvent[] = [];
  const result = await pullFiles(store, wantedUploads(uploads, more), directory, options, (event) => void events.push(event));
  const told = new Map(events.filter((event): event is FileDone => event.kind === 'file').map((event) => [event.path, event]));
  const byPath = new Map(uploads.map((each) => [`uploads/${each.pathId}`, each]));
  const whole: string[] = [];
  for (const path of filesBelow(directory)) {
    if (path.endsWith('/records.json')) continue;
    const content = readFileSync(join(directory, path));
    const event = told.get(path);
    if (event === undefined) throw new Error(`${path} is there and no event told of it`);
    if (event.sha256 !== createHash('sha256').update(content).digest('hex') || event.size !== content.length) throw new Error(`${path} is not what its event says`);
    const source = byPath.get(path);
    if (source !== undefined && !source.content.equals(content)) throw new Error(`${path} has other bytes than its object`);
    if (source !== undefined) whole.push(source.attachmentId);
    told.delete(path);
  }
  if (told.size > 0) throw new Error(`told, but not there: ${[...told.keys()].join(', ')}`);
  const records = JSON.parse(readFileSync(join(directory, 'uploads', 'records.json'), 'utf8')) as Record<string, unknown>[];
  return { result, events, records, whole: whole.sort(), lost: events.flatMap((event) => (event.kind === 'lost' ? [`${event.key}: ${event.reason}`] : [])).sort() };
}

/** Ids of the attachments that have no file. */
export function lostAttachments(events: readonly FileEvent[]): string[] {
  return events.flatMap((event) => ((event.kind === 'lost' || event.kind === 'skipped') && event.attachmentId !== undefined ? [event.attachmentId] : [])).sort((a, b) => Number(a) - Number(b));
}

/** Paths of all files below a directory, hidden ones too. */
export function filesBelow(directory: string, prefix = ''): string[] {
  if (!existsSync(join(directory, prefix))) return [];
  return readdirSync(join(directory, prefix), { withFileTypes: true }).flatMap((entry) => {
    const path = prefix === '' ? entry.name : `${prefix}/${entry.name}`;
    return entry.isDirectory() ? filesBelow(directory, path) : [path];
  });
}
