import dns from 'node:dns';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable, Writable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { GetObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import t from 'tap';
import { findBackup, isBackup } from '../../../src/backup/contents/find-backup.js';
import { readWhole, writeWhole } from '../../../src/backup/store/backup-store.js';
import { BucketStore } from '../../../src/backup/store/bucket-store.js';
import { openStore } from '../../../src/backup/store/open-store.js';
import { uploadTarget } from '../../../src/backup/uploads/open-uploads.js';
import { verifyBackup } from '../../../src/backup/verify-backup.js';
import { s3Settings } from '../../../src/files/s3/s3-settings.js';
import { uploadPlace } from '../../../src/files/upload/upload-place.js';
import { withFaultyProxy } from '../../files/faulty-proxy.js';
import { startS3 } from '../../testbed/s3-server.js';
import type { S3Server } from '../../testbed/s3-server.js';
import { withEmptyDatabase } from '../../testbed/test-database.js';
import { NEEDS_PG_DUMP, backUp, dump, failure, query, restore, withPlace } from '../test-backup.js';

t.setTimeout(180_000);

/** Runs `work` with an S3 server of its own that the AWS SDK of this process is pointed at. */
async function withBucket(work: (server: S3Server, bucket: string) => Promise<void>): Promise<void> {
  const server = await startS3();
  const before = { ...process.env };
  Object.assign(process.env, server.environment);
  try {
    await work(server, server.environment.S3_UPLOADS_BUCKET as string);
  } finally {
    process.env = before;
    await server.stop();
  }
}

t.test('objects', async (t) => {
  await withBucket(async (_, bucket) => {
    const store = await openStore(`s3://${bucket}/some/prefix`, process.env);
    t.strictSame([...(await store.list())], []);
    await writeWhole(store, 'one', 'first');
    await writeWhole(store, 'deep/er/two', 'second');
    t.strictSame([...(await store.list())], [['deep/er/two', 6], ['one', 5]]);
    t.strictSame(await store.directories(), ['deep']);
    t.equal((await readWhole(store, 'one')).toString(), 'first');
    t.equal((await readWhole(store.within('deep'), 'er/two')).toString(), 'second');
    t.match(await failure(readWhole(store, 'three')), { code: 'PART_MISSING' });
    t.equal(await store.create('one', Buffer.from('other')), false);
    t.equal(await store.create('new', Buffer.from('x')), true);

    // Above the size of an upload's part, so that it goes up in several.
    const large = Buffer.alloc(20 * 1024 * 1024, 'large');
    await store.write('large', Readable.from([large.subarray(0, 1e6), large.subarray(1e6)]));
    t.ok(large.equals(await store.read('large', buffer)));

    await store.remove('one');
    await store.remove('never there');
    t.notOk((await store.list()).has('one'));
    await writeWhole(await openStore(`s3://${bucket}/some/prefix-of-another`, process.env), 'stays', 'x');
    await store.clear();
    t.strictSame([...(await store.list())], []);
    t.equal((await (await openStore(`s3://${bucket}/some/prefix-of-another`, process.env)).list()).size, 1);
  });
});

t.test('what is stored goes with its digest, by which the server refuses what came otherwise', async (t) => {
  await withBucket(async (server, bucket) => {
    await withFaultyProxy(server.endpoint, () => undefined, async ({ endpoint, seen }) => {
      const env = { ...server.environment, S3_ENDPOINT: endpoint };
      const store = await openStore(`s3://${bucket}/p`, env);
      await store.create('new', Buffer.from('x'));
      await writeWhole(store, 'small', 'x');
      await store.write('large', Readable.from([Buffer.alloc(9 * 1024 * 1024)]));
      const uploads = await uploadTarget(uploadPlace(undefined, env));
      await uploads.put({ name: 'uploads/2/file', size: 1, modified: 1, mode: 0o600, attributes: {} }, Readable.from([Buffer.from('x')]));
      await uploads.writeNote('note');
      const stored = seen.filter(({ method }) => method === 'PUT');
      t.equal(stored.length, 6);
      for (const { path, headers } of stored) t.type(headers['x-amz-checksum-sha256'], 'string', path);
    });
  });
});

t.test('the error of the content, or of its consumer, comes through as it is', async (t) => {
  await withBucket(async (_, bucket) => {
    const store = await openStore(`s3://${bucket}/p`, process.env);
    const broken = Readable.from((function* () {
      yield Buffer.alloc(9 * 1024 * 1024);
      throw new Error('the rows ended');
    })());
    t.equal((await failure(store.write('half', broken))).message, 'the rows ended');
    t.strictSame([...(await store.list())], [], 'no half object');

    await writeWhole(store, 'one', 'first');
    let calls = 0;
    t.equal((await failure(store.read('one', () => { calls++; return Promise.reject(new Error('the table is closed')); }))).message, 'the table is closed');
    t.equal(calls, 1);

    // Too long to have arrived when its first bytes are refused: what is then thrown into the stream is not the connection's fault.
    await writeWhole(store, 'long', Buffer.alloc(20 * 1024 * 1024));
    const refusal = async (content: Readable): Promise<void> => {
      calls++;
      const refusing = new Writable({ write: (_chunk, _encoding, done) => void setTimeout(done, 20, new Error('some bytes are refused')) });
      // It cleans up before it fails.
      await pipeline(content, refusing).finally(() => sleep(50));
    };
    t.equal((await failure(store.read('long', refusal))).message, 'some bytes are refused');
    t.equal(calls, 2);
  });
});

t.test('a connection that breaks in the midst of an object is made again', async (t) => {
  const body = Buffer.alloc(300_000, 'abc');
  let requests = 0;
  const server = createServer((_, response) => {
    response.writeHead(200, { 'content-length': body.length, 'etag': '"one"' });
    if (++requests < 3) response.write(body.subarray(0, 100_000 * requests), () => response.destroy());
    else response.end(body);
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const before = { ...process.env };
  Object.assign(process.env, { AWS_ACCESS_KEY_ID: 'x', AWS_SECRET_ACCESS_KEY: 'x', S3_ENDPOINT: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
  try {
    let calls = 0;
    const read = await (await openStore('s3://bucket/p', process.env)).read('one', (content) => { calls++; return buffer(content); });
    t.ok(body.equals(read));
    t.strictSame([requests, calls], [3, 1], 'and who takes it sees nothing of that');
  } finally {
    process.env = before;
    server.close();
  }
});

t.test('a store that hangs is given up within its silence and attempts, whatever it was asked', async (t) => withBucket(async (server, bucket) => {
  let hangs = false;
  await withFaultyProxy(server.endpoint, () => (hangs ? new Promise<never>(() => undefined) : undefined), async ({ endpoint, seen }) => {
    const store = BucketStore.of(`s3://${bucket}/p`, { ...s3Settings(server.environment), endpoint, timeout: 0.3, attempts: 2, backoff: 1 });
    await writeWhole(store, 'one', 'first');
    hangs = true;
    const asked: Readonly<Record<string, () => Promise<unknown>>> = {
      list: () => store.list(), directories: () => store.directories(), read: () => readWhole(store, 'one'), remove: () => store.remove('one'), clear: () => store.clear(),
      'write a small one': () => writeWhole(store, 'two', 'x'), 'write a large one': () => writeWhole(store, 'large', Buffer.alloc(9 * 1024 * 1024)), create: () => store.create('new', Buffer.from('x')),
      stage: () => store.staging().stage('staged', Readable.from([Buffer.from('x')])),
    };
    for (const [name, work] of Object.entries(asked)) {
      const before = seen.length;
      t.match(await Promise.race([failure(work()), sleep(10_000, 'nothing came of it')]), { code: 'S3_FAILED' }, name);
      t.ok(seen.length - before >= 2, `${name}: twice`);
    }
  });
}));

t.test('who reads may take longer than any silence', async (t) => withBucket(async (server, bucket) => {
  await withFaultyProxy(server.endpoint, () => undefined, async ({ endpoint, seen }) => {
    const store = BucketStore.of(`s3://${bucket}/p`, { ...s3Settings(server.environment), endpoint, timeout: 2 });
    const large = Buffer.alloc(40 * 1024 * 1024, 'large');
    await (await openStore(`s3://${bucket}/p`, server.environment)).write('large', Readable.from([large]));
    const before = seen.length;
    const read = await store.read('large', async (content) => {
      const chunks: Buffer[] = [];
      for await (const chunk of content) {
        chunks.push(chunk as Buffer);
        if (chunks.length < 3) await sleep(5000);
      }
      return Buffer.concat(chunks);
    });
    t.ok(read.equals(large));
    t.equal(seen.slice(before).filter(({ repeat }) => repeat > 0).length, 0, 'nothing is asked for twice');
    t.equal((await store.read('large', (content) => new Promise<number>((resolve) => { content.once('data', (chunk: Buffer) => resolve(chunk.length)); }))) > 0, true, 'nor the whole by who wants its beginning');
  });
}));

t.test('buckets are addressed as the settings say', async (t) => {
  const asked: string[] = [];
  const server = createServer(({ headers, url }, response) => {
    asked.push(`${headers.host?.replace(/:\d+$/, '')}${url?.replace(/\?.*/, '')}`);
    response.setHeader('etag', '"x"').end('x');
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const before = { ...process.env };
  Object.assign(process.env, { AWS_ACCESS_KEY_ID: 'x', AWS_SECRET_ACCESS_KEY: 'x' });
  // Not every machine knows names below localhost.
  const { lookup } = dns;
  dns.lookup = ((_name: string, options: object, done: (...answer: readonly unknown[]) => void) => lookup('127.0.0.1', options, done)) as typeof lookup;
  const S3_ENDPOINT = `http://localhost:${(server.address() as AddressInfo).port}`;
  try {
    for (const S3_ADDRESSING_STYLE of ['', 'path', 'virtual']) {
      const env = { S3_ENDPOINT, S3_ADDRESSING_STYLE };
      const store = await openStore('s3://kept/p', env);
      await readWhole(store, 'one');
      await writeWhole(store, 'two', 'x');
      const uploads = await uploadTarget(uploadPlace(undefined, { ...env, S3_UPLOADS_BUCKET: 'uploads', S3_AVATARS_BUCKET: 'avatars' }));
      await uploads.readNote();
    }
    t.strictSame(asked, [
      ...[1, 2].flatMap(() => ['localhost/kept/p/one', 'localhost/kept/p/two', 'localhost/uploads/realmlift-restore.json']),
      'kept.localhost/p/one', 'kept.localhost/p/two', 'uploads.localhost/realmlift-restore.json',
    ]);
  } finally {
    dns.lookup = lookup;
    process.env = before;
    server.close();
  }
  t.match(await failure(openStore('s3://kept/p', { S3_ADDRESSING_STYLE: 'dns' })), { code: 'S3_ADDRESSING', exit: 2 });
});

t.test('a backup to a bucket, its verification, its damage and its restore', NEEDS_PG_DUMP, async (t) => {
  await withBucket(async (server, bucket) => {
    await withEmptyDatabase((source) => withEmptyDatabase((target) => withPlace(async (place) => {
      await query(source, `CREATE TABLE message AS SELECT g AS id, md5(g::text) AS content FROM generate_series(1, 20000) g; CREATE TABLE reader AS SELECT 1 AS id`);
      const to = `s3://${bucket}/nightly`;
      const backup = await backUp(source, { ...place, to });
      t.equal(await isBackup(to, process.env), true);
      t.equal(await isBackup(backup.location, process.env), true);
      t.equal(await isBackup(`s3://${bucket}/elsewhere`, process.env), false);
      t.match(await verifyBackup(to, process.env, {}, 4), { level: 'checksums', parts: backup.parts });
      t.match(await verifyBackup(to, process.env, { identityFile: place.identityFile }, 4), { level: 'contents', rows: backup.rows });

      const { list } = await findBackup(to, process.env);
      const rows = list.parts.find(({ name }) => name.includes('public.message.')) as { name: string };
      const key = { Bucket: bucket, Key: `${backup.location.slice(`s3://${bucket}/`.length)}/${rows.name}` };
      const good = await buffer((await server.client.send(new GetObjectCommand(key))).Body as Readable);
      const bad = Buffer.from(good);
      bad[1000] = (bad[1000] as number) ^ 1;
      await server.client.send(new PutObjectCommand({ ...key, Body: bad }));
      t.match(await failure(verifyBackup(to, process.env, {}, 4)), { code: 'BACKUP_DAMAGED', message: new RegExp(rows.name) });
      t.match(await failure(restore(to, place, target)), { code: 'BACKUP_DAMAGED', message: new RegExp(rows.name) });
      await server.client.send(new PutObjectCommand({ ...key, Body: good }));
      const restored = await restore(to, place, target);
      t.ok(restored.resumed > 0, 'it went on where it was');
      t.equal(await dump(target, '--schema-only'), await dump(source, '--schema-only'));
      t.strictSame((await dump(target, '--data-only')).split('\n').sort(), (await dump(source, '--data-only')).split('\n').sort());

      // The first one was decrypted and looked at, the second only by its checksums: the first stays beyond the one that is kept.
      const second = await backUp(source, { ...place, to }, { keep: 1 });
      t.strictSame(second.removed, []);
      await verifyBackup(to, process.env, { identityFile: place.identityFile }, 4);
      const third = await backUp(source, { ...place, to }, { keep: 1 });
      t.strictSame(third.removed, [backup.name]);
      t.strictSame(await (await openStore(to, process.env)).directories(), [second.name, third.name].sort());
    })));
  });
});

t.test('credentials that are refused, a bucket that is not there, a server that is not there', NEEDS_PG_DUMP, async (t) => {
  await withBucket(async (_, bucket) => {
    await withEmptyDatabase((source) => withPlace(async (place) => {
      await query(source, 'CREATE TABLE a (n integer)');
      t.match(await failure(backUp(source, { ...place, to: 's3://no-such-bucket/x' })), { code: 'BUCKET_MISSING', message: /no-such-bucket/ });
      t.match(await failure(backUp(source, { ...place, to: 's3://' })), { code: 'LOCATION', exit: 2 });
      process.env.AWS_ACCESS_KEY_ID = 'EXPIRED';
      t.match(await failure(backUp(source, { ...place, to: `s3://${bucket}/x` })), { code: 'S3_CREDENTIALS_REFUSED' });
    }));
  });
});
