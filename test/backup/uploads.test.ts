import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { appendFile, chmod, mkdir, readFile, readdir, rm, stat, symlink, truncate, utimes, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { DeleteObjectCommand, GetObjectCommand, ListObjectsV2Command, PutObjectCommand } from '@aws-sdk/client-s3';
import { Decrypter } from 'age-encryption';
import t from 'tap';
import { findBackup, openBackup } from '../../src/backup/contents/find-backup.js';
import { PartNames } from '../../src/backup/contents/part-names.js';
import { restoreUploads } from '../../src/backup/restore/restore-uploads.js';
import { saveUploads } from '../../src/backup/save/save-uploads.js';
import { Recipients } from '../../src/backup/seal/age-keys.js';
import { DirectoryStore } from '../../src/backup/store/directory-store.js';
import { refuseTargetWithin, uploadTarget } from '../../src/backup/uploads/open-uploads.js';
import type { UploadedFile } from '../../src/backup/uploads/upload-source.js';
import { verifyBackup } from '../../src/backup/verify-backup.js';
import { Lost } from '../../src/files/file-store.js';
import { uploadPlace } from '../../src/files/upload/upload-place.js';
import { s3Error, withFaultyProxy } from '../files/faulty-proxy.js';
import { BUCKETS, loadObjects, startS3 } from '../testbed/s3-server.js';
import type { S3Server } from '../testbed/s3-server.js';
import { unpackArchive } from '../testbed/tar-archive.js';
import { testData } from '../testbed/test-data.js';
import { withEmptyDatabase } from '../testbed/test-database.js';
import { realmlift } from './command-line.js';
import { NEEDS_PG_DUMP, backUp, failure, query, withPlace } from './test-backup.js';
import type { Place } from './test-backup.js';

t.setTimeout(180_000);

/** Path -> bytes, mode and time of every file. */
async function files(directory: string): Promise<Map<string, string>> {
  const out = new Map<string, string>();
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    const stats = await stat(path);
    if (stats.isFile()) out.set(relative(directory, path), `${(await readFile(path)).toString('base64')} ${(stats.mode & 0o700).toString(8)} ${Math.round(stats.mtimeMs * 100)}`);
  }
  return out;
}

/** What others than the owner have any permission for. */
async function openToOthers(directory: string): Promise<string[]> {
  const found: string[] = [];
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (((await stat(path)).mode & 0o077) !== 0) found.push(path);
  }
  return found;
}

/** @param directory undefined for the buckets of the environment */
async function restoreFiles({ to, identityFile }: Pick<Place, 'to' | 'identityFile'>, directory?: string): Promise<void> {
  const signal = new AbortController().signal;
  await restoreUploads(await openBackup(await findBackup(to, process.env), { identityFile }, signal), await uploadTarget(uploadPlace(directory, process.env)), 2, signal);
}

t.test('where files find no room, it is said where, from and into a backup', NEEDS_PG_DUMP, async (t) => {
  await withEmptyDatabase((source) => withEmptyDatabase((target) => withPlace(async (place) => {
    const uploads = join(place.directory, 'uploads');
    await mkdir(uploads);
    await writeFile(join(uploads, 'large'), randomBytes(300_000));
    const words = ['backup', '--to', place.to, '--recipient', place.recipient, '--uploads-dir', uploads, '--quiet'];
    // 400 blocks of 512 bytes.
    t.match(await realmlift(words, { DATABASE_URL: source }, '-f 400'), { code: 1, stderr: /^realmlift: DISK_FULL \[backup\]: cannot write [^\n]*\/files\/000001\.tar\.gz\.age: [^\n]*\n$/ });
    t.match(await realmlift(words, { DATABASE_URL: source }), { code: 0, stderr: '' });
    const restoring = ['restore', place.to, '--identity', place.identityFile, '--uploads-dir', join(place.directory, 'restored'), '--quiet'];
    t.match(await realmlift([...restoring, '--database-url', target], {}, '-f 400'), {
      code: 1, stderr: /^realmlift: DISK_FULL \[restore\]: cannot write [^\n]*\/restored\/large [^\n]*the database is complete, the files are not: run again without --database-url[^\n]*\n$/,
    });
    t.match(await realmlift(restoring), { code: 0, stderr: '' }, 'as it said');
    t.strictSame(await files(join(place.directory, 'restored')), await files(uploads));
  })));
});

t.test('an uploads directory', NEEDS_PG_DUMP, async (t) => {
  await withEmptyDatabase((source) => withEmptyDatabase((target) => withPlace(async (place) => {
    await query(source, 'CREATE TABLE a (n integer)');
    const uploads = join(place.directory, 'uploads');
    await unpackArchive(testData('zulip-11/local', 'uploads.tar.gz'), uploads);
    await mkdir(dirname(join(uploads, 'files/odd name.txt')), { recursive: true });
    await writeFile(join(uploads, 'files/empty'), '');
    await writeFile(join(uploads, 'files/odd name.txt'), 'x');
    await chmod(join(uploads, 'files/odd name.txt'), 0o640);
    await writeFile(join(uploads, 'files/large'), Buffer.alloc(3_000_000, 'large'));
    await mkdir(join(place.directory, 'another disk'));
    await writeFile(join(place.directory, 'another disk', 'linked'), 'linked');
    // Not that of now, which may lie where the comparison rounds up and then down.
    for (const made of ['uploads/files/odd name.txt', 'uploads/files/empty', 'uploads/files/large', 'another disk/linked']) await utimes(join(place.directory, made), 1.5, 1234567890.123456);
    await symlink(join(place.directory, 'another disk'), join(uploads, 'linked'));
    await symlink('..', join(uploads, 'files/loop'));
    const before = await files(uploads);
    before.set('linked/linked', (await files(join(place.directory, 'another disk'))).get('linked') as string);

    const words = ['backup', '--to', place.to, '--recipient', place.recipient, '--uploads-dir', uploads, '--json'];
    const backup = await realmlift(words, { DATABASE_URL: source });
    t.match(backup, { code: 0 }, backup.stderr);
    const result = JSON.parse(backup.stdout) as { location: string; files: number };
    t.equal(result.files, before.size);
    t.notMatch(await readFile(join(result.location, 'backup.json'), 'utf8'), /odd name|linked/, 'names of files are not in the clear');
    t.match(await verifyBackup(place.to, process.env, { identityFile: place.identityFile }, 2), { files: before.size });

    // Nothing but age, gzip and tar are needed.
    const decrypter = new Decrypter();
    decrypter.addIdentity((await readFile(place.identityFile, 'utf8')).split('\n')[1]);
    const tar = gunzipSync(await decrypter.decrypt(await readFile(join(result.location, 'files/000001.tar.gz.age'))));
    await writeFile(join(place.directory, 'files.tar'), tar);
    const { stdout } = await promisify(execFile)('tar', ['-tf', join(place.directory, 'files.tar')]);
    t.match(stdout, 'files/odd name.txt');

    const restored = join(place.directory, 'restored');
    const restoreWords = ['restore', place.to, '--identity', place.identityFile, '--uploads-dir', restored];
    t.match(await realmlift([...restoreWords, '--database-url', target]), { code: 0, stdout: new RegExp(`1 table, 0 rows, ${before.size} files`) });
    t.strictSame(await files(restored), before, "bytes, times and the owner's permissions");
    t.strictSame(await openToOthers(restored), [], 'and nobody else has any');
    t.match(await failure(restoreFiles(place, restored)), { code: 'UPLOADS_NOT_EMPTY' });

    // Interrupted: as the note says, and goes on.
    const [name] = [...before.keys()] as [string];
    await rm(join(restored, name));
    const { id } = JSON.parse(await readFile(join(result.location, 'backup.json'), 'utf8')) as { id: string };
    await writeFile(join(restored, '.realmlift-restore.json'), JSON.stringify({ backup: 'another', done: [] }));
    t.match(await failure(restoreFiles(place, restored)), { code: 'RESTORE_OF_ANOTHER' });
    await writeFile(join(restored, '.realmlift-restore.json'), JSON.stringify({ backup: id, done: [] }));
    t.match(await realmlift(restoreWords), { code: 0 });
    t.strictSame(await files(restored), before);
  })));
});

t.test('files that cannot be had are named, and cost no other file', NEEDS_PG_DUMP, async (t) => {
  await withEmptyDatabase((source) => withPlace(async (place) => {
    await query(source, 'CREATE TABLE a (n integer)');
    const uploads = join(place.directory, 'uploads');
    const disk = join(place.directory, 'disk');
    for (const directory of [join(uploads, 'files/2/a'), join(uploads, 'avatars'), join(disk, 'a')]) await mkdir(directory, { recursive: true });
    for (const file of [join(uploads, 'files/2/a/whole.txt'), join(uploads, 'avatars/whole.png'), join(disk, 'a/linked.txt')]) await writeFile(file, 'whole');
    await symlink(disk, join(uploads, 'files/3'));
    const before = await files(uploads);
    before.set('files/3/a/linked.txt', (await files(disk)).get('a/linked.txt') as string);

    await promisify(execFile)('mkfifo', [join(uploads, 'files/2/a/fifo')]);
    await symlink('round', join(uploads, 'files/2/round'));
    await symlink(join(disk, 'a'), join(uploads, 'files/2/out'));
    await symlink('../../avatars/whole.png', join(uploads, 'files/2/other.png'));
    await symlink('/nowhere/mounted', join(uploads, 'files/4'));
    await symlink(place.directory, join(uploads, 'files/5'));
    await writeFile(Buffer.from(`${uploads}/files/2/a/\xff`, 'latin1'), 'x');
    const words = ['backup', '--to', place.to, '--recipient', place.recipient, '--uploads-dir', uploads, '--json'];
    const backup = await realmlift(words, { DATABASE_URL: source });
    t.match(backup, { code: 4, stderr: /LOSSES.*7 uploaded files/ }, backup.stderr);
    const { files: count, lost } = JSON.parse(backup.stdout) as { files: number; lost: { name: string; reason: string }[] };
    t.equal(count, before.size);
    t.strictSame(lost.map(({ name, reason }) => `${name} ${reason}`), [
      'files/2/a/fifo unreadable', 'files/2/a/\ufffd unsafe-name', 'files/2/other.png outside', 'files/2/out outside', 'files/2/round unreadable', 'files/4 unreadable', 'files/5 outside',
    ]);
    for (const { name } of lost) t.match(backup.stderr, `lost: ${name}: `);
    const restored = await realmlift(['restore', place.to, '--identity', place.identityFile, '--uploads-dir', join(place.directory, 'restored'), '--quiet']);
    t.match(restored, { code: 4, stderr: 'realmlift: 7 uploaded files not in the backup: unreadable when it was taken\n' });
    t.strictSame(await files(join(place.directory, 'restored')), before, 'the others are there');

    for (const root of ['none', 'round']) {
      await symlink(root, join(place.directory, root));
      t.match(await realmlift([...words.slice(0, -2), join(place.directory, root)], { DATABASE_URL: source }), { code: 1, stderr: /UPLOADS_DIR_UNREADABLE/ }, root);
    }
  }));
});

t.test('a large file that breaks off while it is read is read again, or left out', async (t) => {
  await withPlace(async (place) => {
    const content = Buffer.alloc(3_000_000, 'large');
    let attempts = 0;
    /** Breaks off the first `times` times. */
    const breaking = (name: string, times: number): UploadedFile => {
      const chunks = async function* (): AsyncGenerator<Buffer> {
        yield content.subarray(0, 2_000_000);
        await Promise.resolve();
        if (times-- > 0) throw new Lost('unreadable', 'it cannot be read (EIO)');
        yield content.subarray(2_000_000);
      };
      return { name, size: content.length, modified: 1, read: () => { attempts++; return Promise.resolve({ size: content.length, modified: 1, chunks: chunks() }); } };
    };
    const source = { kind: 'directory', files: () => Readable.from([breaking('whole', 0), breaking('once', 1), breaking('always', 99)]) as AsyncIterable<UploadedFile> } as const;
    const store = new DirectoryStore(place.to);
    const saved = await saveUploads(source, { store, names: new PartNames(false, 'gz'), sealing: { recipients: Recipients.of([place.recipient]), compression: { method: 'gzip', level: 1 } }, jobs: 1 }, new AbortController().signal);
    t.match(saved.files, { parts: [{ files: 2, bytes: 2 * content.length }], lost: 1, lostFiles: [{ name: 'always', reason: 'unreadable' }] });
    t.equal(attempts, 2 + 3 + 3 + 3 + 2);
    t.equal((await store.list()).size, 1, 'of archives that broke off nothing is left');
  });
});

t.test('an uploads directory that is not there, or is not wanted', NEEDS_PG_DUMP, async (t) => {
  await withEmptyDatabase((source) => withPlace(async (place) => {
    await query(source, 'CREATE TABLE a (n integer)');
    t.match(await failure(backUp(source, place, { uploads: { kind: 'directory', directory: join(place.directory, 'none') } })), { code: 'UPLOADS_DIR_MISSING' });
    t.strictSame(await readdir(place.to), [], 'nothing is left behind');
    t.match(await realmlift(['backup', '--to', place.to, '--recipient', place.recipient, '--uploads'], { DATABASE_URL: source }), { code: 2, stderr: /FILES_UNKNOWN/ });
    await backUp(source, place);
    t.match(await failure(restoreFiles(place, join(place.directory, 'r'))), { code: 'NO_FILES' });
  }));
});

t.test('backups are not kept among the files that they save', async (t) => {
  const saves = { kind: 'directory', directory: '/home/zulip/uploads' } as const;
  const buckets = { kind: 'buckets', connection: {}, uploads: 'one', avatars: 'two' } as const;
  for (const [place, to] of [[saves, '/home/zulip/uploads'], [saves, '/home/zulip/uploads/..backups/x'], [buckets, 's3://one'], [buckets, 's3://two/nightly']] as const) {
    t.throws(() => refuseTargetWithin(place, to), { code: 'TARGET_IN_UPLOADS', exit: 2 }, to);
  }
  for (const [place, to] of [[saves, '/home/zulip/uploads2'], [saves, '/home/zulip'], [saves, 's3://one'], [buckets, 's3://three/one'], [buckets, 'one']] as const) refuseTargetWithin(place, to);
  await withPlace(async (place) => {
    t.match(await failure(backUp('postgresql://nobody@127.0.0.1:1/none', place, { uploads: { kind: 'directory', directory: place.directory } })), { code: 'TARGET_IN_UPLOADS' });
  });
});

t.test('a damaged archive of files is refused by its name', NEEDS_PG_DUMP, async (t) => {
  await withEmptyDatabase((source) => withPlace(async (place) => {
    const uploads = join(place.directory, 'uploads');
    await mkdir(uploads);
    for (let n = 0; n < 5; n++) await writeFile(join(uploads, `file${n}`), Buffer.alloc(100_000, String(n)));
    const { location } = await backUp(source, place, { uploads: { kind: 'directory', directory: uploads } });
    const archive = join(location, 'files/000001.tar.gz.age');
    const { length } = await readFile(archive);
    const damaged = { code: 'BACKUP_DAMAGED', message: /files\/000001/ };
    await truncate(archive, length - 100);
    t.match(await failure(restoreFiles(place, join(place.directory, 'restored'))), damaged);
    await appendFile(archive, Buffer.alloc(100));
    t.match(await failure(restoreFiles(place, join(place.directory, 'restored'))), damaged);
    t.match(await failure(verifyBackup(location, process.env, { identityFile: place.identityFile }, 1)), damaged);
  }));
});

/** Bucket/key -> bytes and all that S3 says of the object beside its times. */
async function objects({ client }: S3Server): Promise<Map<string, object>> {
  const out = new Map<string, object>();
  for (const bucket of Object.values(BUCKETS)) {
    let token: string | undefined;
    do {
      const page = await client.send(new ListObjectsV2Command({ Bucket: bucket, ContinuationToken: token }));
      await Promise.all((page.Contents ?? []).map(async ({ Key }) => {
        const { Body, ContentType, ContentDisposition, ContentEncoding, CacheControl, Metadata } = await client.send(new GetObjectCommand({ Bucket: bucket, Key }));
        out.set(`${bucket}/${Key}`, { body: (await buffer(Body as Readable)).toString('base64'), ContentType, ContentDisposition, ContentEncoding, CacheControl, Metadata });
      }));
      token = page.NextContinuationToken;
    } while (token !== undefined);
  }
  return new Map([...out].sort(([a], [b]) => (a < b ? -1 : 1)));
}

t.test('two buckets, with metadata', NEEDS_PG_DUMP, async (t) => {
  const server = await startS3();
  const before = { ...process.env };
  Object.assign(process.env, server.environment);
  try {
    await withEmptyDatabase((source) => withPlace(async (place) => {
      await query(source, 'CREATE TABLE a (n integer)');
      // Every fifth of what Zulip itself stored.
      const stored = JSON.parse(await readFile(testData('zulip-11/s3', 'objects.json'), 'utf8')) as object[];
      const some = join(place.directory, 'objects.json');
      await writeFile(some, JSON.stringify(stored.filter((_, n) => n % 5 === 0)));
      await loadObjects(server.client, some, testData('zulip-11/s3', 'bodies.tar.gz'));
      // Larger than what is asked for at a time, and empty; with every attribute.
      const attributes = { ContentType: 'text/plain; charset=utf-8', ContentDisposition: `attachment; filename*=UTF-8''%C3%A4`, CacheControl: 'max-age=5', ContentEncoding: 'identity', Metadata: { owner: '1', 'realm-id': '2' } };
      await server.client.send(new PutObjectCommand({ Bucket: BUCKETS.uploads, Key: '1/large', Body: Buffer.alloc(20_000_000, 'large'), ContentType: 'application/zip' }));
      await server.client.send(new PutObjectCommand({ Bucket: BUCKETS.uploads, Key: '1/empty', Body: Buffer.alloc(0), ...attributes }));
      const saved = await objects(server);

      const { files: count } = JSON.parse((await realmlift(['backup', '--to', place.to, '--recipient', place.recipient, '--uploads', '--json'], { DATABASE_URL: source, ...server.environment })).stdout) as { files: number };
      t.equal(count, saved.size);

      const words = ['restore', place.to, '--identity', place.identityFile, '--uploads'];
      t.match(await failure(restoreFiles(place)), { code: 'UPLOADS_NOT_EMPTY' });
      for (const name of saved.keys()) {
        const [Bucket, ...key] = name.split('/') as [string, ...string[]];
        await server.client.send(new DeleteObjectCommand({ Bucket, Key: key.join('/') }));
      }
      t.match(await failure(restoreFiles(place, join(place.directory, 'restored'))), { code: 'UPLOADS_KIND' });
      await withFaultyProxy(server.endpoint, ({ method, path }) => (method === 'PUT' && path.includes('/1/empty') ? { kind: 'headers', headers: { etag: undefined } } : undefined), async ({ endpoint }) => {
        const refused = await realmlift([...words, '--quiet'], { ...server.environment, S3_ENDPOINT: endpoint });
        t.match(refused, { code: 1, stderr: /^realmlift: S3_FAILED \[restore\]: [^\n]*the answer does not name what was stored [^\n]*run the same command again: it goes on where it stopped\)\n$/ });
      });
      const restored = await realmlift(words, server.environment);
      t.match(restored, { code: 0 }, restored.stderr);
      t.strictSame(await objects(server), saved, 'bytes and metadata');
    }));
  } finally {
    process.env = before;
    await server.stop();
  }
});

t.test('bytes that are not the object\'s are asked for again, and never saved', NEEDS_PG_DUMP, async (t) => {
  const server = await startS3();
  try {
    await withEmptyDatabase((source) => withPlace(async (place) => {
      await query(source, 'CREATE TABLE a AS SELECT 1 AS n');
      for (const key of ['once', 'always', 'shorter', 'whole']) await server.client.send(new PutObjectCommand({ Bucket: BUCKETS.uploads, Key: `2/${key}`, Body: `content of ${key}` }));
      for (const key of ['large', 'large-and-wrong']) await server.client.send(new PutObjectCommand({ Bucket: BUCKETS.uploads, Key: `2/${key}`, Body: Buffer.alloc(20_000_000, key) }));
      const words = ['backup', '--to', place.to, '--recipient', place.recipient, '--uploads', '--json'];
      await withFaultyProxy(server.endpoint, ({ path, repeat, range }) => {
        const key = /\/2\/([\w-]+)(?:\?|$)/.exec(path)?.[1];
        if (key === 'always' || (key === 'once' && repeat === 0)) return { kind: 'corrupt', at: 3 };
        if (key === 'shorter' && repeat === 0) return { kind: 'wrong-length', by: 1 };
        if (key === 'large' && repeat === 0 && range?.startsWith('bytes=8388608-') === true) return { kind: 'wrong-length', by: 1000 };
        return key === 'large-and-wrong' && range?.startsWith('bytes=16777216-') === true ? { kind: 'corrupt', at: 1000 } : undefined;
      }, async ({ endpoint }) => {
        const { code, stdout, stderr } = await realmlift(words, { DATABASE_URL: source, ...server.environment, S3_ENDPOINT: endpoint });
        t.equal(code, 4, stderr);
        t.match(JSON.parse(stdout), { files: 4, lost: [{ name: 'uploads/2/always', reason: 'corrupt', detail: /ETag/ }, { name: 'uploads/2/large-and-wrong', reason: 'corrupt', detail: /ETag/ }] });
        const opaque = await realmlift([...words, '--opaque-etags'], { DATABASE_URL: source, ...server.environment, S3_ENDPOINT: endpoint });
        t.match(JSON.parse(opaque.stdout), { files: 6 }, 'where the ETags say nothing of the content, it is taken as it comes');
      });
    }));
  } finally {
    await server.stop();
  }
});

t.test('objects that the store does not give cost no other object, and no old backup', NEEDS_PG_DUMP, async (t) => {
  const server = await startS3();
  try {
    await withEmptyDatabase((source) => withPlace(async (place) => {
      await query(source, 'CREATE TABLE a AS SELECT 1 AS n');
      for (const key of ['archived', 'lost-key', 'whole', 'refused']) await server.client.send(new PutObjectCommand({ Bucket: BUCKETS.uploads, Key: `2/${key}`, Body: key }));
      const faults: Readonly<Record<string, ReturnType<typeof s3Error>>> = {
        archived: s3Error(403, 'InvalidObjectState'), 'lost-key': s3Error(400, 'KMS.NotFoundException'), refused: s3Error(403, 'AccessDenied'),
      };
      const words = ['backup', '--to', place.to, '--recipient', place.recipient, '--uploads', '--keep', '1', '--json'];
      const first = await realmlift(words, { DATABASE_URL: source, ...server.environment });
      t.match(first, { code: 0 }, first.stderr);
      await withFaultyProxy(server.endpoint, ({ path }) => faults[/\/2\/([\w-]+)(?:\?|$)/.exec(path)?.[1] ?? ''], async ({ endpoint }) => {
        const second = await realmlift(words, { DATABASE_URL: source, ...server.environment, S3_ENDPOINT: endpoint });
        t.match(second, { code: 4, stderr: /lost: uploads\/2\/archived: forbidden: the object is archived/ }, second.stderr);
        t.match(JSON.parse(second.stdout), { files: 1, rows: 1, removed: [], lost: [{ name: 'uploads/2/archived' }, { name: 'uploads/2/lost-key', detail: /KMS/ }, { name: 'uploads/2/refused' }] });
      });
      const restored = join(place.directory, 'restored');
      t.match(await failure(restoreFiles(place, restored)), { code: 'UPLOADS_KIND' });
      t.match(await realmlift(words, { DATABASE_URL: source, ...server.environment }), { code: 0, stdout: /"removed":\["backup-.*","backup-/ }, 'a whole one lets the old ones go');
    }));
  } finally {
    await server.stop();
  }
});
