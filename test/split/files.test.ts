/** The files of a split: from a disk or from buckets, into a directory or into other buckets. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { CreateBucketCommand, HeadObjectCommand, ListObjectsV2Command, type S3Client } from '@aws-sdk/client-s3';
import t from 'tap';
import { splitRealms, type SplitRequest, type SplitResult } from '../../src/commands/split.js';
import { openLocalStore } from '../../src/files/local-store.js';
import { openS3Store } from '../../src/files/s3/s3-store.js';
import { NEEDS_PG_DUMP } from '../backup/test-backup.js';
import { realmlift, type Ended } from '../cli/command-line.js';
import { sessionsLeft } from '../export/blocked-export.js';
import { withSource, type TestSource } from '../export/test-source.js';
import { connectionSettings } from '../../src/snapshot/connection-settings.js';
import { gated } from '../files/gated-store.js';
import { s3Error, withFaultyProxy } from '../files/faulty-proxy.js';
import { compareExports } from '../testbed/compare-export.js';
import { uploadsDirectory } from '../testbed/expected-export.js';
import { BUCKETS, withS3, type S3Server } from '../testbed/s3-server.js';
import { AVATAR_SALT } from '../testbed/test-data.js';
import { withEmptyDatabase, withTestDatabase } from '../testbed/test-database.js';
import { exported } from './exported.js';

t.setTimeout(600_000);

const NEW = { uploads: 'new-uploads', avatars: 'new-avatars' };
const TO_BUCKETS = ['--target-uploads-bucket', NEW.uploads, '--target-avatars-bucket', NEW.avatars];

function inBuckets(dataset: TestSource['dataset'], url: string, { endpoint }: S3Server, buckets: { readonly uploads: string; readonly avatars: string }): TestSource {
  const credentials = { accessKeyId: 'S3RVER', secretAccessKey: 'S3RVER' };
  return { dataset, url, openStore: () => openS3Store({ endpoint, region: 'us-east-1', credentials, uploadsBucket: buckets.uploads, avatarsBucket: buckets.avatars }) };
}

async function split(source: string, env: Readonly<Record<string, string>>, ...words: readonly string[]): Promise<Ended> {
  return realmlift(['split', '--realm', 'acme', ...words], { env: { DATABASE_URL: source, PATH: process.env.PATH ?? '', ...env } });
}

async function keys(client: S3Client, bucket: string): Promise<string[]> {
  return ((await client.send(new ListObjectsV2Command({ Bucket: bucket }))).Contents ?? []).map(({ Key }) => Key ?? '').sort();
}

/** Without what the name of the bucket, or a store of another kind, makes another. */
function differences(expected: string, actual: string, but: RegExp): string[] {
  return compareExports(expected, actual).filter((each) => !but.test(each));
}

t.test('from buckets into other buckets, and into a directory', NEEDS_PG_DUMP, async (t) => withS3(async (server) => {
  const place = t.testdir();
  for (const bucket of Object.values(NEW)) await server.client.send(new CreateBucketCommand({ Bucket: bucket }));
  await withTestDatabase('zulip-11/s3', async (source) => {
    const env = { ...server.environment, ZULIP_AVATAR_SALT: AVATAR_SALT['zulip-11/s3'] };
    const expected = await exported(inBuckets('zulip-11/s3', source, server, BUCKETS), join(place, 'source'), 'acme');
    const before = await keys(server.client, BUCKETS.avatars);
    await withEmptyDatabase(async (target) => {
      t.match(await split(source, env, '--target-url', target, '--target-uploads-bucket', BUCKETS.uploads, '--target-avatars-bucket', NEW.avatars), { code: 2, stderr: /the buckets of the new server are those of this one/ });
      const done = await split(source, env, '--target-url', target, ...TO_BUCKETS);
      t.ok(done.code === 0 || done.code === 4, done.stderr);
      const found = await exported(inBuckets('zulip-11/s3', target, server, NEW), join(place, 'split'), 'acme');
      t.strictSame(differences(expected, found, /bucket: /), [], 'metadata and bytes are those of the source');
      const avatars = await keys(server.client, NEW.avatars);
      t.ok(avatars.every((key) => before.includes(key)), 'under the names that they had');
      const shown = before.filter((key) => /^2\/[0-9a-f]{40}(-medium)?\.png$/.test(key) && before.includes(key.replace(/(-medium)?\.png$/, '.original')));
      t.strictSame(shown.filter((key) => !avatars.includes(key)), [], 'the pictures that Zulip shows too');
      for (const bucket of Object.values(NEW)) t.ok((await keys(server.client, bucket)).every((key) => /^[12]\//.test(key)), 'no file of another realm');
      const [upload = ''] = await keys(server.client, NEW.uploads);
      const [was, is] = await Promise.all([BUCKETS.uploads, NEW.uploads].map((Bucket) => server.client.send(new HeadObjectCommand({ Bucket, Key: upload }))));
      for (const field of ['ContentType', 'Metadata', 'ContentLength'] as const) t.strictSame(is?.[field], was?.[field], field);
    });
    const directory = join(place, 'uploads');
    const alone = await split(source, env, '--files-dir', directory);
    t.ok(alone.code === 0 || alone.code === 4, alone.stderr);
    t.notMatch(alone.stderr, /rows in/, 'files alone, without a database');
    t.ok(readdirSync(join(directory, 'avatars/2')).some((name) => /^[0-9a-f]{40}\.png$/.test(name)));
    const store = await openLocalStore({ uploadsDir: directory });
    const local = await exported({ dataset: 'zulip-11/s3', url: source, openStore: () => Promise.resolve(store) }, join(place, 'local'), 'acme');
    t.strictSame(differences(expected, local, /^avatars|^realm_icons|records\.json/), [], 'every upload and emoji');
    await withFaultyProxy(server.endpoint, ({ path }) => (/[?&]prefix=2\/realm\//.test(path) ? s3Error(403, 'AccessDenied') : undefined), async ({ endpoint }) => {
      const unlisted = await split(source, { ...env, S3_ENDPOINT: endpoint }, '--files-dir', join(place, 'unlisted'));
      t.match(unlisted, { code: 4, stderr: /LOST realm_icons 2\/: the store refuses it \(AccessDenied\)/ }, 'what cannot be listed is lost like a file');
      t.ok(readdirSync(join(place, 'unlisted')).length > 0, 'and costs no other');
    });
  });
}));

t.test('from a disk into buckets, without a database, of servers of two ways to name avatars', NEEDS_PG_DUMP, async (t) => withS3(async (server) => {
  const place = t.testdir();
  for (const bucket of Object.values(NEW)) await server.client.send(new CreateBucketCommand({ Bucket: bucket }));
  for (const dataset of ['zulip-8/local', 'zulip-11/local'] as const) {
    await withTestDatabase(dataset, async (source) => {
      const uploads = await uploadsDirectory(dataset);
      const { S3_ENDPOINT: endpoint = '', S3_REGION: region = '' } = server.environment;
      // The new server's own settings and keys.
      const env = { TARGET_S3_ENDPOINT: endpoint, TARGET_S3_REGION: region, TARGET_AWS_ACCESS_KEY_ID: 'S3RVER', TARGET_AWS_SECRET_ACCESS_KEY: 'S3RVER', ZULIP_AVATAR_SALT: AVATAR_SALT[dataset] };
      const done = await split(source, env, '--uploads-dir', uploads, ...TO_BUCKETS);
      t.ok(done.code === 0 || done.code === 4, done.stderr);
      const avatars = await keys(server.client, NEW.avatars);
      t.ok(avatars.some((key) => (dataset === 'zulip-8/local' ? /^\d+\/[0-9a-f]{40}$/ : /^\d+\/[0-9a-f]{40}\.png$/).test(key)), 'as the version names them');
      const there = openLocalStore({ uploadsDir: uploads });
      const expected = await exported({ dataset, url: source, openStore: () => there }, join(place, `source-${dataset.slice(6, 8)}`), 'acme');
      const found = await exported(inBuckets(dataset, source, server, NEW), join(place, `split-${dataset.slice(6, 8)}`), 'acme');
      t.strictSame(differences(expected, found, /records\.json|^avatars|^realm_icons/), [], `${dataset}: the same bytes of uploads and emoji`);
      t.ok(['icon.png', 'icon.original', 'logo.png'].every((name) => avatars.includes(`2/realm/${name}`)));
      const head = await server.client.send(new HeadObjectCommand({ Bucket: NEW.uploads, Key: (await keys(server.client, NEW.uploads))[0] ?? '' }));
      t.match(head.Metadata, { user_profile_id: /^\d+$/, realm_id: /^\d+$/ });
      t.ok(head.ContentDisposition);
    });
  }
}));

t.test('a place that cannot be written is told before any row', NEEDS_PG_DUMP, async (t) => {
  const place = t.testdir();
  await withTestDatabase('zulip-11/local', (source) => withEmptyDatabase(async (target) => {
    const env = { ZULIP_AVATAR_SALT: AVATAR_SALT['zulip-11/local'] };
    const uploads = await uploadsDirectory('zulip-11/local');
    t.match(await split(source, env, '--target-url', target, '--uploads-dir', uploads, '--files-dir', '/dev/null/x'), { code: 3, stderr: /UPLOADS_DIR_MISSING/ });
    t.match(await split(source, env, '--target-url', target, '--uploads-dir', join(place, 'none'), '--files-dir', join(place, 'files')), { code: 1, stderr: /UPLOADS_DIR/ });
    const full = await realmlift(['split', '--realm', 'acme', '--target-url', target, '--uploads-dir', uploads, '--files-dir', join(place, 'files')], { env: { DATABASE_URL: source, PATH: process.env.PATH ?? '' } });
    t.match(full, { code: 2, stderr: /SALT_MISSING/ });
  }));
});

t.test('while files are still to come, or indexes, the server has no session of ours', NEEDS_PG_DUMP, async (t) => {
  await withSource('zulip-11/local', async (source) => {
    const { signal: never } = new AbortController();
    const run = async (name: string, to: SplitRequest['to'], signal: AbortSignal, gate: () => Promise<unknown>): Promise<SplitResult> => splitRealms({
      settings: connectionSettings(source.url, {}), to, patience: { timeout: undefined, onWait: () => undefined }, signal,
      files: { openStore: async () => gated(await source.openStore(), gate), place: { kind: 'directory', directory: join(t.testdirName, name) }, salt: AVATAR_SALT['zulip-11/local'], newSalt: '5'.repeat(64), jobs: 2 },
      targets: { realms: ['acme', 'globex'], exclude: [], users: undefined, approved: undefined, allowUnknown: false }, mode: 'full', consentMessage: undefined, approvedFilesOnly: true, avatars: true, force: false,
      decisions: { strip: new Set(), keep: new Set() }, zulipVersion: undefined, jobs: 2, pgDump: 'pg_dump',
    });
    t.testdir();
    const left: number[] = [];
    let looked: Promise<number> | undefined;
    const look = async (): Promise<void> => void left.push(await (looked ??= sessionsLeft(source.url, 5)));
    const { files: alone } = await run('alone', undefined, never, look);
    t.ok(left.length > 30);
    looked = undefined;
    const write = async (bytes: Buffer): Promise<void> => { if (bytes.includes('ADD CONSTRAINT')) await look(); };
    const { files: beside } = await run('beside', { kind: 'script', write, finish: () => Promise.resolve() }, never, look);
    t.strictSame([...new Set(left)], [0]);
    t.strictSame(beside, alone, 'the same files');

    const stop = new AbortController();
    await t.rejects(run('stopped', undefined, stop.signal, async () => { stop.abort(new Error('stopped')); await new Promise(() => undefined); }), /stopped/);
  });
});
