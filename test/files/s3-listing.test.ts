// A listing of many pages is split and fetched in parts at once: every key is there, once, in order.
import { PutObjectCommand } from '@aws-sdk/client-s3';
import t from 'tap';
import { byBytes } from '../../src/files/records.js';
import { S3Access } from '../../src/files/s3/s3-client.js';
import { listObjects } from '../../src/files/s3/s3-listing.js';
import { BUCKETS, startS3 } from '../testbed/s3-server.js';
import { withFaultyProxy } from './faulty-proxy.js';

t.test('listing', async (t) => {
  const server = await startS3();
  const access = new S3Access({ endpoint: server.endpoint, credentials: { accessKeyId: 'S3RVER', secretAccessKey: 'S3RVER' } });
  t.teardown(async () => {
    access.close();
    await server.stop();
  });
  // First letters before, between and behind those that Zulip's keys begin with, and keys that are a letter alone.
  const keys = Array.from({ length: 400 }, (_, index) => `3/${[...'!-059AMZ_afz~'][index % 13] ?? ''}${index}/x`);
  keys.push('3/a', '3/A', '3/_', '3/-', '3/\u{1F680}');
  for (const key of [...keys, '30/other', '2/other']) await server.client.send(new PutObjectCommand({ Bucket: BUCKETS.uploads, Key: key, Body: key }));

  for (const pageSize of [1000, 100, 7]) {
    const listed: string[] = [];
    const listing = { access, bucket: BUCKETS.uploads, prefix: '3/', directOnly: false, pageSize, signal: new AbortController().signal };
    for await (const { key, size } of listObjects(listing)) {
      listed.push(key);
      if (size !== Buffer.byteLength(key)) t.fail(`${key}: ${size} bytes`);
    }
    t.strictSame(listed, [...keys].sort(byBytes), `pages of ${pageSize}`);
  }

  await t.test('a page of something between is no empty listing', async (t) => {
    for (const always of [false, true]) {
      await withFaultyProxy(server.endpoint, ({ repeat }) => (always || repeat === 0 ? { kind: 'status', status: 200, body: '<html><body>Log in</body></html>' } : undefined), async ({ endpoint }) => {
        const through = new S3Access({ endpoint, credentials: { accessKeyId: 'S3RVER', secretAccessKey: 'S3RVER' }, attempts: 2, backoff: 1 });
        const list = async (): Promise<number> => {
          let count = 0;
          for await (const each of listObjects({ access: through, bucket: BUCKETS.uploads, prefix: '3/', directOnly: false, signal: new AbortController().signal })) count += each.size > 0 ? 1 : 0;
          return count;
        };
        if (always) await t.rejects(list(), { message: /something else than the store has answered/ });
        else t.equal(await list(), keys.length);
        through.close();
      });
    }
  });

  await t.test('a server that sends the listing round ends it', async (t) => {
    const token = (body: string, to: string): string => body.replace(/<NextContinuationToken>[^<]*</, `<NextContinuationToken>${to}<`).replace('<IsTruncated>false', `<NextContinuationToken>${to}</NextContinuationToken><IsTruncated>true`);
    let pages = 0;
    const ways = {
      'the same token each time': (body: string) => token(body, 'same'),
      'two tokens in turn': (body: string) => token(body, `${pages % 2}`),
      'the first page each time': (body: string) => token(body, `${pages}`),
    };
    for (const [name, change] of Object.entries(ways)) {
      pages = 0;
      await withFaultyProxy(server.endpoint, () => {
        pages++;
        return { kind: 'body', change };
      }, async ({ endpoint }) => {
        const round = new S3Access({ endpoint, credentials: { accessKeyId: 'S3RVER', secretAccessKey: 'S3RVER' } });
        const list = async (): Promise<void> => {
          for await (const each of listObjects({ access: round, bucket: BUCKETS.uploads, prefix: '3/', directOnly: false, pageSize: 50, signal: AbortSignal.timeout(20_000) })) void each;
        };
        await t.rejects(list(), { message: /its listing has no end/ }, name);
        round.close();
      });
      t.ok(pages < 10, `${pages} pages`);
    }
  });
});
