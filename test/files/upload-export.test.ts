// An export in S3 is whole, or looks unfinished: no manifest, no parts left behind.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { createHash, randomBytes } from 'node:crypto';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { CreateMultipartUploadCommand, GetObjectCommand, ListMultipartUploadsCommand, ListObjectsV2Command, PutObjectCommand } from '@aws-sdk/client-s3';
import t from 'tap';
import { newS3Client } from '../../src/files/s3/s3-client.js';
import { giveUpUploads } from '../../src/files/s3/s3-pending.js';
import { uploadParts } from '../../src/files/s3/s3-upload.js';
import { checkUpload, uploadDirectory, uploadStream } from '../../src/files/upload/upload-export.js';
import { comparePaths } from '../../src/package/manifest.js';
import { parseS3Url, type UploadTarget } from '../../src/files/upload/upload-target.js';
import { BUCKETS, startS3 } from '../testbed/s3-server.js';
import type { Fault, Seen } from './faulty-proxy.js';
import { s3Error, withFaultyProxy } from './faulty-proxy.js';

const LARGE = 20 << 20;
const never = new AbortController().signal;

/** As an export has it, its other files without entries. */
function manifestOf(files: Iterable<[path: string, content: Buffer]>): Buffer<ArrayBuffer> {
  const entries = [...files].map(([path, content]) => ({ path, size: content.length, sha256: createHash('sha256').update(content).digest('hex') })).sort((a, b) => comparePaths(a.path, b.path));
  return Buffer.from(`{\n  "format": 1,\n  "realm": "acme",\n  "realm_id": 2,\n  "mode": "full",\n  "zulip_version": null,\n  "snapshot": {"taken_at": "2026-01-01T00:00:00Z"},\n  "options": {},\n  "files": [\n${entries.map((entry, index) => `${JSON.stringify(entry)}${index < entries.length - 1 ? ',' : ''}\n`).join('')}  ]\n}\n`);
}

function exportDirectory(root: string): Map<string, Buffer> {
  const files = new Map([
    ['realm.json', Buffer.from('{}')], ['empty', Buffer.alloc(0)], ['uploads/2/日本/a b.bin', randomBytes(3000)], ['uploads/large.bin', randomBytes(LARGE)],
  ]);
  files.set('manifest.json', manifestOf(files));
  for (const [path, content] of files) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), content);
  }
  return files;
}

t.test('upload', async (t) => {
  const server = await startS3();
  t.teardown(async () => server.stop());
  const directory = t.testdir();
  const files = exportDirectory(directory);
  const target = (prefix: string, endpoint = server.endpoint): UploadTarget => ({
    bucket: BUCKETS.uploads, prefix, connection: { endpoint, region: 'us-east-1', credentials: { accessKeyId: 'S3RVER', secretAccessKey: 'S3RVER' }, attempts: 2 },
  });
  const keys = async (prefix: string): Promise<string[]> => ((await server.client.send(new ListObjectsV2Command({ Bucket: BUCKETS.uploads, Prefix: prefix }))).Contents ?? []).map(({ Key }) => Key ?? '');

  const store = async (name: string, to = target('exports'), signal = never): Promise<void> => uploadDirectory(to, name, directory, 'manifest.json', signal, () => undefined);

  t.test('every file arrives, the manifest last', async (t) => {
    const stored = { objects: 0, bytes: 0 };
    const order: string[] = [];
    await withFaultyProxy(server.endpoint, ({ method, path }) => void (method === 'PUT' && order.push(path)), async ({ endpoint }) =>
      uploadDirectory(target('exports', endpoint), 'acme', directory, 'manifest.json', never, ({ objects, bytes }) => {
        stored.objects += objects;
        stored.bytes += bytes;
      }));
    t.strictSame(stored, { objects: files.size, bytes: [...files.values()].reduce((sum, { length }) => sum + length, 0) });
    t.equal(order.at(-1), `/${BUCKETS.uploads}/exports/acme/manifest.json`);
    for (const [path, content] of files) {
      const { Body } = await server.client.send(new GetObjectCommand({ Bucket: BUCKETS.uploads, Key: `exports/acme/${path}` }));
      t.ok((await buffer(Body as Readable)).equals(content), path);
    }
  });

  t.test('a large file that was completed without an answer is there, and not stored again', async (t) => {
    const lost = ({ method, path, repeat }: Seen): Fault | undefined => (method === 'POST' && path.includes('uploadId=') && repeat === 0 ? { kind: 'reset', after: 0 } : undefined);
    await withFaultyProxy(server.endpoint, lost, async ({ endpoint, seen }) => {
      await store('acme', target('unanswered', endpoint));
      t.equal(seen.filter(({ method, path }) => method === 'POST' && path.includes('uploadId=')).length, 2, 'it was asked for again');
    });
    t.equal((await keys('unanswered/acme/')).length, files.size);
  });

  t.test('a place that is taken is refused, or replaced when asked', async (t) => {
    const put = async (Key: string): Promise<unknown> => server.client.send(new PutObjectCommand({ Bucket: BUCKETS.uploads, Key, Body: 'older' }));
    await put('exports/acme/uploads/older.txt');
    await put('exports/acme-2/other.txt');
    await t.rejects(store('acme'), { code: 'UPLOAD_EXISTS', message: /s3:\/\/zulip-uploads\/exports\/acme\/ is not empty/ });
    await t.rejects(checkUpload(target('exports'), ['acme/'], never), { code: 'UPLOAD_EXISTS' });
    await checkUpload(target('exports'), ['acm/', 'acme-2/other'], never);
    await t.rejects(checkUpload(target('exports'), ['acme-2/other.txt'], never), { code: 'UPLOAD_EXISTS', message: /is there already/ });
    await checkUpload({ ...target('exports'), overwrite: true }, ['acme/'], never);
    t.strictSame((await keys('exports')).filter((key) => key.includes('realmlift')), [], 'a check leaves nothing');
    const requests: string[] = [];
    await withFaultyProxy(server.endpoint, ({ method, path }) => void requests.push(`${method} ${path.split('?')[0]}`), async ({ endpoint }) => store('acme', { ...target('exports', endpoint), overwrite: true }));
    t.strictSame(await keys('exports'), [...[...files.keys()].map((path) => `exports/acme/${path}`), 'exports/acme-2/other.txt'].sort());
    const changes = requests.filter((request) => !request.startsWith('GET'));
    t.equal(changes[0], `DELETE /${BUCKETS.uploads}/exports/acme/manifest.json`, 'first it is no export any more');
    t.equal(changes.at(-1), `PUT /${BUCKETS.uploads}/exports/acme/manifest.json`);
  });

  t.test('a bucket that cannot be written is told by the check', async (t) => {
    await withFaultyProxy(server.endpoint, ({ method }) => (method === 'POST' ? s3Error(403, 'AccessDenied') : undefined), async ({ endpoint }) =>
      t.rejects(checkUpload(target('exports', endpoint), ['new/'], never), { code: 'UPLOAD_FAILED', message: /AccessDenied, 403/, hint: /s3:PutObject/ }));
    await withFaultyProxy(server.endpoint, ({ path }) => (path.includes('prefix=exports') ? s3Error(403, 'AccessDenied') : undefined), async ({ endpoint }) =>
      t.rejects(checkUpload(target('exports', endpoint), ['new/'], never), { code: 'UPLOAD_FAILED' }));
  });

  t.test('an upload that fails leaves no manifest and no parts', async (t) => {
    const secondPart = ({ method, path }: Seen): boolean => method === 'PUT' && path.includes('partNumber=2');
    await withFaultyProxy(server.endpoint, (seen) => (secondPart(seen) ? s3Error(500, 'InternalError') : undefined), async ({ endpoint, seen }) => {
      await t.rejects(store('failed', target('exports', endpoint)), { code: 'UPLOAD_FAILED' });
      t.equal(seen.filter(({ method, path }) => method === 'DELETE' && path.includes('uploadId=')).length, 1, 'the parts are removed');
    });
    t.strictSame((await keys('exports/failed')).filter((key) => /manifest|large/.test(key)), []);
  });

  t.test('a file of the export that cannot be read is not said to be a fault of the server', async (t) => {
    const unreadable = async (path: string, copy: string): Promise<void> => {
      await t.rejects(uploadDirectory(target('unreadable'), path, copy, 'manifest.json', never, () => undefined), { code: 'UPLOAD_FAILED', message: new RegExp(`${path} cannot be read.*ENOENT`), hint: /directory of the export/ });
    };
    await unreadable('manifest.json', t.testdir({ 'realm.json': '{}' }));
    await unreadable('realm.json', t.testdir({ 'realm.json': t.fixture('symlink', 'gone'), 'manifest.json': manifestOf([]).toString() }));
  });

  t.test('a file that has gone from the export ends it before the manifest', async (t) => {
    const [FIRST, MIDDLE, LAST] = ['a.json', 'uploads/2/b/c.txt', 'z.json'];
    const content = (path: string): Buffer => Buffer.from(path);
    for (const [path, before] of [[FIRST, true], [MIDDLE, true], [LAST, true], [MIDDLE, false], [LAST, false]] as const) {
      const name = `gone-${path.slice(-6, -5)}-${before ? 'before' : 'meanwhile'}`;
      const copy = t.testdir();
      const there = [...[FIRST, MIDDLE, LAST].map((each): [string, Buffer] => [each, content(each)])];
      for (const [each, bytes] of [...there, ['beside.json', Buffer.from('no manifest names it')] as const, ['manifest.json', manifestOf(there)] as const]) {
        mkdirSync(dirname(join(copy, each)), { recursive: true });
        writeFileSync(join(copy, each), bytes);
      }
      const remove = (): void => rmSync(join(copy, path.split('/')[0] as string), { recursive: true, force: true });
      if (before) remove();
      await withFaultyProxy(server.endpoint, ({ method }) => void (method === 'GET' && !before && remove()), async ({ endpoint }) =>
        t.rejects(uploadDirectory(target('exports', endpoint), name, copy, 'manifest.json', never, () => undefined), { code: 'UPLOAD_FAILED', message: `${path} cannot be read to be stored: manifest.json names it, and it has gone`, hint: /directory of the export/ }, name));
      t.notOk((await keys(`exports/${name}`)).some((key) => key.endsWith('manifest.json')), 'it does not look whole');
    }
  });

  t.test('an upload that is cut leaves no manifest and no parts, also where the server does not answer', async (t) => {
    const cut = new Error('cut by the test');
    for (const hangs of [false, true]) {
      const stop = new AbortController();
      await withFaultyProxy(server.endpoint, ({ path }) => {
        if (!path.includes('partNumber=')) return undefined;
        if (path.includes('partNumber=1')) stop.abort(cut);
        return hangs ? new Promise<never>(() => undefined) : undefined;
      }, async ({ endpoint, seen }) => {
        const stored = store(`cut-${hangs}`, target('exports', endpoint), stop.signal);
        await t.rejects(Promise.race([stored, sleep(10_000, undefined, { ref: false }).then(() => { throw new Error('it waits'); })]), cut);
        t.equal(seen.filter(({ method, path }) => method === 'DELETE' && path.includes('uploadId=')).length, 1, 'the parts are removed');
      });
      t.strictSame((await keys(`exports/cut-${hangs}`)).filter((key) => /manifest|large/.test(key)), []);
    }
  });

  t.test('a server that does not answer what begins or ends an upload, or its last part, is not waited for when that is cut', async (t) => {
    const cut = new Error('cut by the test');
    await Promise.all([/^POST .*\?uploads/, /^DELETE .*uploadId=/, /^PUT .*partNumber=/].map(async (silent) => {
      const stop = new AbortController();
      await withFaultyProxy(server.endpoint, ({ method, path }) => {
        if (path.includes('partNumber=1') || (method === 'POST' && silent.test(`${method} ${path}`))) stop.abort(cut);
        return silent.test(`${method} ${path}`) ? new Promise<never>(() => undefined) : undefined;
      }, async ({ endpoint }) => {
        const client = newS3Client(target('x', endpoint).connection);
        t.teardown(() => client.destroy());
        const stored = uploadParts(client, { params: { Bucket: BUCKETS.uploads, Key: 'silent', Body: Readable.from([Buffer.alloc(6 << 20)]) } }, (error) => error, stop.signal);
        await t.rejects(Promise.race([stored, sleep(8000, undefined, { ref: false }).then(() => { throw new Error('it waits'); })]), cut, silent.source);
      });
    }));
  });

  t.test('uploads that nobody completes are given up, by a server that does not answer later', async (t) => {
    const { client } = server;
    const begin = async (): Promise<void> => void await client.send(new CreateMultipartUploadCommand({ Bucket: BUCKETS.uploads, Key: 'pending/a' }));
    const pending = async (): Promise<number> => (await client.send(new ListMultipartUploadsCommand({ Bucket: BUCKETS.uploads, Prefix: 'pending/' }))).Uploads?.length ?? 0;
    await begin();
    for (const silent of ['GET', 'DELETE']) {
      await withFaultyProxy(server.endpoint, ({ method }) => (method === silent ? new Promise<never>(() => undefined) : undefined), async ({ endpoint }) => {
        const through = newS3Client(target('x', endpoint).connection);
        t.equal(await giveUpUploads(through, BUCKETS.uploads, 'pending/', 200), false);
        through.destroy();
      });
      t.equal(await pending(), 1);
    }
    // Which says that there is more and knows no way to it.
    await withFaultyProxy(server.endpoint, ({ method }) => (method === 'GET' ? { kind: 'body', change: (body) => body.replace('<IsTruncated>false', '<IsTruncated>true') } : undefined), async ({ endpoint, seen }) => {
      const through = newS3Client(target('x', endpoint).connection);
      t.equal(await giveUpUploads(through, BUCKETS.uploads, 'pending/'), true);
      t.equal(seen.filter(({ method }) => method === 'GET').length, 1);
      through.destroy();
    });
    t.equal(await pending(), 0);
  });

  t.test('a body that breaks cuts what is under way, and its error is told', async (t) => {
    const broken = new Error('broken');
    let breaks = (): void => undefined;
    const breaking = new Promise<never>((_, reject) => { breaks = () => reject(broken); });
    await withFaultyProxy(server.endpoint, ({ path }) => {
      if (!path.includes('partNumber=')) return undefined;
      breaks();
      return new Promise<never>(() => undefined);
    }, async ({ endpoint, seen }) => {
      const client = newS3Client(target('x', endpoint).connection);
      const body = Readable.from((async function* () {
        yield Buffer.alloc(6 << 20);
        await breaking;
      })(), { objectMode: false });
      const stored = uploadParts(client, { params: { Bucket: BUCKETS.uploads, Key: 'broken', Body: body } }, (error) => error);
      await t.rejects(Promise.race([stored, sleep(10_000, undefined, { ref: false }).then(() => { throw new Error('it waits'); })]), broken);
      t.equal(seen.filter(({ method, path }) => method === 'DELETE' && path.includes('uploadId=')).length, 1, 'the parts are removed');
      client.destroy();
    });
  });

  t.test('a stream is one object, and none when it breaks', async (t) => {
    const content = randomBytes(LARGE);
    await uploadStream(target('tar'), 'acme.tar.gz', Readable.from([content.subarray(0, 100), content.subarray(100)]), content.length, never, () => undefined);
    const { Body } = await server.client.send(new GetObjectCommand({ Bucket: BUCKETS.uploads, Key: 'tar/acme.tar.gz' }));
    t.ok((await buffer(Body as Readable)).equals(content));
    const broken = new Error('broken');
    await t.rejects(uploadStream(target('broken'), 'acme.tar.gz', Readable.from((function* () {
      yield content;
      throw broken;
    })()), undefined, never, () => undefined), broken);
    t.strictSame(await keys('broken'), []);
  });

  t.test('encryption is asked for', async (t) => {
    const asked: (string | undefined)[] = [];
    await withFaultyProxy(server.endpoint, ({ method, headers }) => {
      if (method === 'PUT') asked.push(`${headers['x-amz-server-side-encryption']?.toString()} ${headers['x-amz-server-side-encryption-aws-kms-key-id']?.toString()} ${typeof headers['x-amz-checksum-sha256']}`);
      return undefined;
    }, async ({ endpoint }) => uploadStream({ ...target('kms', endpoint), encryption: { kind: 'aws:kms', keyId: 'key' } }, 'one', Readable.from([Buffer.from('x')]), 1, never, () => undefined));
    t.strictSame(asked, ['aws:kms key string']);
  });

  t.test('a bucket that is not there', async (t) => {
    await t.rejects(store('x', { ...target('x'), bucket: 'no-such-bucket' }), { code: 'BUCKET_MISSING', hint: /--upload/ });
  });
});

t.test('addresses', (t) => {
  t.strictSame(parseS3Url('s3://backups/zulip/2026/'), { bucket: 'backups', prefix: 'zulip/2026' });
  t.strictSame(parseS3Url('s3://backups'), { bucket: 'backups', prefix: '' });
  for (const bad of ['s3://', 's3:///x', 'https://backups/x', 's3://Bad_Name/x']) t.throws(() => parseS3Url(bad), { code: 'UPLOAD_URL', exit: 2 }, bad);
  t.end();
});
