/** Files that go to the new server's buckets, with the attributes that its own uploads would have. */
import { CopyObjectCommand, CreateBucketCommand, DeleteObjectCommand, GetObjectCommand, HeadObjectCommand, ListObjectsV2Command, PutObjectCommand, type HeadObjectCommandOutput, type S3Client } from '@aws-sdk/client-s3';
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { join } from 'node:path';
import { Transform } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { loadExport } from '../../src/commands/load.js';
import { BucketFiles } from '../../src/load/files/bucket-files.js';
import type { PlannedFile } from '../../src/load/files/file-plan.js';
import type { LoadRequest } from '../../src/load/load-request.js';
import { undoLoad } from '../../src/load/undo-load.js';
import { exportFrom, only, type TestSource } from '../export/test-source.js';
import { openS3Store } from '../../src/files/s3/s3-store.js';
import { withFaultyProxy } from '../files/faulty-proxy.js';
import { change, withClient } from '../testbed/database-client.js';
import { BUCKETS, withS3 } from '../testbed/s3-server.js';
import { withTestDatabase } from '../testbed/test-database.js';
import { digests, request, stoppedIn, undo, update } from './new-server.js';

const output = t.testdir();
const NEW = { uploads: 'new-uploads', avatars: 'new-avatars' };
const credentials = { accessKeyId: 'S3RVER', secretAccessKey: 'S3RVER' };

async function objects(client: S3Client, bucket: string, prefix = ''): Promise<Map<string, HeadObjectCommandOutput>> {
  const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket: bucket, Prefix: prefix }));
  const found = new Map<string, HeadObjectCommandOutput>();
  for (const { Key: key = '' } of Contents) found.set(key, await client.send(new HeadObjectCommand({ Bucket: bucket, Key: key })));
  return found;
}

t.test('from bucket to bucket', async (t) => withS3(async ({ endpoint, client }) => {
  const connection = { endpoint, region: 'us-east-1', credentials };
  const { acme, later } = await withTestDatabase('zulip-11/s3', async (url) => {
    const source: TestSource = { dataset: 'zulip-11/s3', url, openStore: () => openS3Store({ ...connection, uploadsBucket: BUCKETS.uploads, avatarsBucket: BUCKETS.avatars }) };
    const exported = async (name: string): Promise<string> => only(await exportFrom(source, join(output, name), ['acme'], { verify: false, force: true })).directory;
    // Under the number of another realm, as the uploads of a user who was moved.
    const path = '4/Q4EO2T0gT-8QiSTBEd_8p-7D/a-b-1.png';
    await client.send(new CopyObjectCommand({ Bucket: BUCKETS.uploads, Key: path, CopySource: `${BUCKETS.uploads}/${path.replace('4', '2')}` }));
    await change(url, `UPDATE zerver_attachment SET path_id = '${path}' WHERE path_id = '${path.replace('4', '2')}'`, "UPDATE zerver_attachment SET file_name = E'two\nlines' WHERE path_id LIKE '2/%/report.bin'");
    const acme = await exported('acme');
    const icon = [...(await objects(client, BUCKETS.avatars)).keys()].find((key) => key.endsWith('/realm/icon.png')) ?? '';
    const kept = await Promise.all(([[BUCKETS.uploads, path], [BUCKETS.avatars, icon]] as const).map(async ([Bucket, Key]) => {
      const { Body, ContentType } = await client.send(new GetObjectCommand({ Bucket, Key }));
      return { Bucket, Key, ContentType: ContentType ?? '', Body: await Body?.transformToByteArray() ?? '' };
    }));
    await client.send(new DeleteObjectCommand({ Bucket: BUCKETS.uploads, Key: path }));
    await change(url, `
      CREATE TEMP TABLE gone AS SELECT id, path_id FROM zerver_attachment WHERE path_id = '${path}';
      DELETE FROM zerver_attachment_messages WHERE attachment_id IN (SELECT id FROM gone); DELETE FROM zerver_attachment_scheduled_messages WHERE attachment_id IN (SELECT id FROM gone);
      DELETE FROM zerver_imageattachment WHERE path_id IN (SELECT path_id FROM gone); DELETE FROM zerver_attachment WHERE id IN (SELECT id FROM gone)`);
    await client.send(new PutObjectCommand({ Bucket: BUCKETS.avatars, Key: icon, Body: 'another icon', ContentType: 'image/png' }));
    const later = await exported('later');
    for (const object of kept) await client.send(new PutObjectCommand(object));
    return { acme, later };
  });
  for (const bucket of Object.values(NEW)) await client.send(new CreateBucketCommand({ Bucket: bucket }));
  let refusing = false;
  /** Requests that the server does not answer, and who is told of one. */
  let unanswered: { readonly which: RegExp; readonly met: () => void } | undefined;
  await withFaultyProxy(endpoint, ({ method, path }) => {
    if (unanswered?.which.test(`${method} ${path}`) === true) {
      unanswered.met();
      return new Promise<never>(() => undefined);
    }
    return refusing && method === 'PUT' ? { kind: 'status', status: 403 } : undefined;
  }, async (proxy) => {
  const files: Extract<LoadRequest['files'], { kind: 'buckets' }> = { kind: 'buckets', connection: { ...connection, endpoint: proxy.endpoint }, ...NEW };
  await t.test('a file of the export that cannot be read is not said to be a fault of the server', async (t) => {
    const file: PlannedFile = { path: 'uploads/2/a', size: 5 << 20, sha256: '', area: 'files', key: '2/a', oldKey: '2/a', attributes: { contentType: '', metadata: {} }, modified: undefined, image: undefined };
    for (const from of [undefined, BUCKETS]) {
      const target = new BucketFiles(files, 8, from);
      for (const [unreadable, why] of [[output, /uploads\/2\/a .*EISDIR/], [join(output, 'none'), /uploads\/2\/a .*ENOENT/]] as const) {
        await t.rejects(target.put(file, unreadable, new AbortController().signal), { code: 'EXPORT_CHANGED', message: why });
      }
      target.close();
    }
  });
  for (const fromBuckets of [undefined, BUCKETS]) {
    await t.test(fromBuckets === undefined ? 'sent' : 'copied by the provider', async (t) => withTestDatabase('zulip-11/new-server', async (url) => {
      const before = await digests(url);
      await t.rejects(stoppedIn('uploaded files', (stop) => loadExport(acme, request(url, '', { files, fromBuckets }), stop)));
      t.ok((await objects(client, NEW.uploads)).size > 0);
      for (const which of fromBuckets === undefined ? [/list-type/, /^DELETE/] : []) {
        const stop = new AbortController();
        unanswered = { which, met: () => setImmediate(() => stop.abort(new Error('stopped'))) };
        const ended = undoLoad(request(url, '', { files }), stop.signal).then(() => 'done', (error: unknown) => (error as Error).message);
        t.equal(await Promise.race([ended, sleep(10_000, 'it goes on')]), 'stopped', `a server that does not answer ${which.source} does not hold up who stops it`);
        unanswered = undefined;
      }
      t.ok((await undo(url, '', { files })).files > 0);
      for (const bucket of Object.values(NEW)) t.equal((await objects(client, bucket)).size, 0, `${bucket} is empty again`);
      t.same(await digests(url), before);

      const earlier = proxy.seen.length;
      await loadExport(acme, request(url, '', { files, fromBuckets }), new AbortController().signal);
      const sent = proxy.seen.slice(earlier).filter(({ method, headers }) => method === 'PUT' && headers['x-amz-copy-source'] === undefined).map(({ path }) => path);
      if (fromBuckets !== undefined) t.notOk(sent.some((path) => !/(?:-medium|[0-9a-f]{40})\.png/.test(path)), 'only what was made here is sent');
      else t.ok(sent.length > 40);
      const [uploads, avatars] = [await objects(client, NEW.uploads), await objects(client, NEW.avatars)];
      await withClient(url, async (database) => {
        const { rows: attachments } = await database.query<{ path: string; owner: number; type: string; size: number; name: string }>('SELECT path_id AS path, owner_id AS owner, content_type AS type, size, file_name AS name FROM zulip.zerver_attachment');
        t.same([...uploads.keys()].sort(), attachments.map(({ path }) => path).sort());
        t.equal([...uploads.keys()].find((key) => !key.startsWith('3/')), undefined, 'all are below the number of their realm');
        for (const { path, owner, type, size, name } of attachments) {
          const head = uploads.get(path);
          t.match(head, { ContentType: type, ContentLength: size, Metadata: { user_profile_id: String(owner), realm_id: '3' } });
          const quoted = /^[\x20-\x7e]*$/.test(name) ? `filename="${name}"` : `filename*=utf-8''${encodeURIComponent(name)}`;
          t.equal(head?.ContentDisposition, `${type === 'image/png' ? 'inline' : 'attachment'}; ${quoted}`);
        }
        const { rows: users } = await database.query<{ id: number; version: number }>("SELECT id, avatar_version AS version FROM zulip.zerver_userprofile WHERE avatar_source = 'U' AND realm_id = 3");
        const owners = [...avatars].filter(([key]) => /^3\/[0-9a-f]{40}-medium\.png$/.test(key)).map(([, { Metadata }]) => `${Metadata?.['user_profile_id'] ?? ''} ${Metadata?.['avatar_version'] ?? ''}`);
        t.same(owners.sort(), users.map(({ id, version }) => `${id} ${version}`).sort());
        for (const [key, { ContentType, Metadata }] of avatars) t.match({ key, ContentType, Metadata }, { ContentType: 'image/png', Metadata: { realm_id: '3', user_profile_id: /^\d+$/ } });
      });
      for (const kind of [/\.original$/, /[0-9a-f]{40}\.png$/, /emoji\/images\/\w+\.png$/, /realm\/icon\.png$/]) t.ok([...avatars.keys()].some((key) => kind.test(key)), String(kind));
      if (fromBuckets === undefined) {
        // The icon takes the place of another when the rows are there; the bucket fails just then, and people come.
        refusing = true;
        await t.rejects(update(later, url, '', { files }), { code: 'UPLOAD_FAILED', hint: /the rows are updated, and some files are not: run the same command again/ });
        refusing = false;
        t.not((await objects(client, NEW.avatars)).get('3/realm/icon.png')?.ContentLength, 'another icon'.length);
        await change(url, 'UPDATE zerver_userprofile SET last_login = now() WHERE id = (SELECT max(id) FROM zerver_userprofile)');
        t.match(await update(later, url, '', { files }), { differed: false, used: true });
        t.equal((await objects(client, NEW.uploads)).size, uploads.size - 1);
        t.equal((await objects(client, NEW.avatars)).get('3/realm/icon.png')?.ContentLength, 'another icon'.length);
      }
      // For the next round.
      for (const [bucket, all] of [[NEW.uploads, uploads], [NEW.avatars, avatars]] as const) for (const key of all.keys()) await client.send(new DeleteObjectCommand({ Bucket: bucket, Key: key }));
    }));
  }
  });
}));

/** A way to the server that carries so many bytes in a second. */
async function withSlowLine<T>(endpoint: string, rate: number, work: (slow: string) => Promise<T>): Promise<T> {
  const open = new Set<Socket>();
  const line = createServer((inside) => {
    const outside = connect(Number(new URL(endpoint).port), '127.0.0.1');
    outside.pipe(inside);
    inside.pipe(new Transform({ highWaterMark: 1, transform: (chunk: Buffer, _, done) => void setTimeout(done, chunk.length / rate * 1000, undefined, chunk) })).pipe(outside);
    for (const socket of [inside, outside]) open.add(socket.on('error', () => undefined));
  });
  await new Promise<void>((resolve) => line.listen(0, '127.0.0.1', resolve));
  try {
    return await work(`http://127.0.0.1:${(line.address() as AddressInfo).port}`);
  } finally {
    for (const socket of open) socket.destroy();
    line.close();
  }
}

t.test('what goes on is not cut for its length, and what does not is told', async (t) => withS3(async ({ endpoint, client }) => {
  const connection = { endpoint, region: 'us-east-1', credentials, backoff: 1 };
  const files = { kind: 'buckets' as const, ...BUCKETS };
  const attributes = { contentType: 'text/plain', metadata: {} };
  const { signal } = new AbortController();

  await withSlowLine(endpoint, 2 << 20, async (slow) => {
    const target = new BucketFiles({ ...files, connection: { ...connection, endpoint: slow, timeout: 4, attempts: 1 } }, 8, undefined);
    // More than the buffers on the way take at once.
    const content = Buffer.alloc(16 << 20, 'slow');
    await target.write('files', '2/slow', content, attributes, signal);
    target.close();
    t.equal((await client.send(new HeadObjectCommand({ Bucket: BUCKETS.uploads, Key: '2/slow' }))).ContentLength, content.length, 'a slow line');
  });

  const place = t.testdir({ file: 'hello' });
  const sha256 = createHash('sha256').update('hello').digest('hex');
  const file: PlannedFile = { path: 'file', size: 5, sha256, area: 'files', key: '3/file', oldKey: '2/file', attributes, modified: undefined, image: undefined };
  const asked: string[] = [];
  // https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html: the answer begins, and white space says that the copy is under way.
  const copying = createHttpServer(({ method, headers }, answer) => {
    asked.push(`${method} ${String(headers['x-amz-copy-source'])}`);
    answer.write('<?xml version="1.0" encoding="UTF-8"?>');
    const sign = setInterval(() => answer.write(' '), 200);
    setTimeout(() => {
      clearInterval(sign);
      answer.end('<CopyObjectResult><ETag>"x"</ETag></CopyObjectResult>');
    }, 2500);
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => copying.once('listening', resolve));
  const copies = new BucketFiles({ ...files, connection: { ...connection, endpoint: `http://127.0.0.1:${(copying.address() as AddressInfo).port}`, timeout: 1, attempts: 1 } }, 8, BUCKETS);
  await copies.put(file, join(place, 'file'), signal);
  copies.close();
  copying.close();
  t.strictSame(asked, [`PUT ${BUCKETS.uploads}/2/file`], 'a copy that takes long');

  await withFaultyProxy(endpoint, ({ method }) => (method === 'GET' ? undefined : new Promise<never>(() => undefined)), async (proxy) => {
    const hanging = (from: typeof BUCKETS | undefined): BucketFiles => new BucketFiles({ ...files, connection: { ...connection, endpoint: proxy.endpoint, timeout: 0.3, attempts: 2 } }, 8, from);
    writeFileSync(join(place, 'large'), Buffer.alloc(5 << 20));
    const large = { ...file, path: 'large', size: 5 << 20, sha256: createHash('sha256').update(Buffer.alloc(5 << 20)).digest('hex') };
    for (const [name, from, each] of [['sent', undefined, file], ['copied', BUCKETS, file], ['sent in parts', undefined, large]] as const) {
      const target = hanging(from);
      const before = proxy.seen.length;
      await t.rejects(Promise.race([target.put(each, join(place, each.path), signal), sleep(10_000, undefined, { ref: false }).then(() => { throw new Error('nothing came of it'); })]), { code: 'UPLOAD_FAILED', hint: /--file-jobs/ }, name);
      t.equal(proxy.seen.length - before, 2, `${name}: twice`);
      target.close();
    }
  });

  const stop = new AbortController();
  const cut = new Error('cut by the test');
  await withFaultyProxy(endpoint, ({ path }) => {
    if (!path.includes('partNumber=')) return undefined;
    stop.abort(cut);
    return new Promise<never>(() => undefined);
  }, async (proxy) => {
    const target = new BucketFiles({ ...files, connection: { ...connection, endpoint: proxy.endpoint } }, 8, undefined);
    const content = Buffer.alloc(9 << 20);
    writeFileSync(join(place, 'parts'), content);
    const parts = { ...file, path: 'parts', size: content.length, sha256: createHash('sha256').update(content).digest('hex') };
    await t.rejects(Promise.race([target.put(parts, join(place, 'parts'), stop.signal), sleep(10_000, undefined, { ref: false }).then(() => { throw new Error('it waits'); })]), cut, 'cut');
    t.equal(proxy.seen.filter(({ method, path }) => method === 'DELETE' && path.includes('uploadId=')).length, 1, 'the parts are removed');
    target.close();
  });
}));
