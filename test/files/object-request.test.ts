// The short way to an object asks as the client does, is signed as S3 demands, and fails as the client does.
import { createHash, createHmac } from 'node:crypto';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import t from 'tap';
import { newS3Client, type S3Connection } from '../../src/files/s3/s3-client.js';
import { keepTemplates, requestObject } from '../../src/files/s3/s3-object-request.js';

const SECRET = 'secret';
const KEYS = ['2/aa/plain.txt', "2/aa/it's (a) *strange* name!~.txt", '2/aa/日本 + & = % # ? @ : $ , ;.dat', '2/aa/\u{1F680}'];

interface Seen {
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
}

const sha256 = (content: string): string => createHash('sha256').update(content).digest('hex');
const hmac = (key: string | Buffer, content: string): Buffer => createHmac('sha256', key).update(content).digest();

/** The signature that a request must have. https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html */
function signatureOf({ url, headers }: Seen): string {
  const [, scope = '', signed = ''] = /Credential=KEY\/([^,]+), SignedHeaders=([^,]+), Signature=/.exec(headers.authorization ?? '') ?? [];
  const [path = '', query = ''] = url.split('?');
  const canonical = ['GET', path, query, ...signed.split(';').map((name) => `${name}:${(headers[name] as string).trim()}`), '', signed, headers['x-amz-content-sha256'] as string].join('\n');
  const key = scope.split('/').reduce<string | Buffer>(hmac, `AWS4${SECRET}`);
  return hmac(key, ['AWS4-HMAC-SHA256', headers['x-amz-date'] as string, scope, sha256(canonical)].join('\n')).toString('hex');
}

t.test('requests for objects', async (t) => {
  const seen: Seen[] = [];
  let answer: { status: number; headers: Record<string, string>; body: string } = { status: 200, headers: {}, body: 'content' };
  const server = createServer((incoming, out) => {
    seen.push({ url: incoming.url ?? '', headers: incoming.headers });
    out.writeHead(answer.status, answer.headers).end(answer.body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  const clientOf = (more: Partial<S3Connection> = {}): ReturnType<typeof newS3Client> => newS3Client({
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, region: 'eu-west-1', attempts: 1, credentials: { accessKeyId: 'KEY', secretAccessKey: SECRET, sessionToken: 'session' }, ...more,
  });
  /** An object as the client asks for it, and in the short way. */
  const both = async (Key: string, more: { Range?: string; IfMatch?: string } = {}): Promise<{ answers: unknown[]; requests: Seen[] }> => {
    const client = clientOf();
    keepTemplates(client);
    const answers: unknown[] = [];
    seen.length = 0;
    for (let turn = 0; turn < 2; turn += 1) {
      answers.push(await requestObject(client, { Bucket: 'bucket', Key, ...more }).then(async ({ Body: body, $metadata: { httpStatusCode: status }, ...rest }) => ({
        status, body: await text(body as Readable), rest: Object.fromEntries(Object.entries(rest).filter(([name, value]) => value !== undefined && name !== 'AcceptRanges')),
      }), ({ name, $metadata: { httpStatusCode: status } }: { name: string; $metadata: { httpStatusCode: number } }) => ({ name, status })));
    }
    client.destroy();
    return { answers, requests: [...seen] };
  };
  const short = ({ headers }: Seen): boolean => headers['amz-sdk-invocation-id'] === undefined;

  await t.test('the same address and headers, and a good signature', async (t) => {
    for (const key of KEYS) {
      const { requests } = await both(key, { Range: 'bytes=0-9', IfMatch: '"etag"' });
      t.strictSame(requests.map(short), [false, true], 'the first by the client, the second not');
      const [byClient, other] = requests.map(({ url, headers }) => [url, ...['host', 'range', 'if-match', 'x-amz-checksum-mode', 'x-amz-security-token', 'x-amz-content-sha256'].map((name) => headers[name])]);
      t.strictSame(other, byClient, key);
      for (const request of requests) t.match(request.headers.authorization, new RegExp(`Signature=${signatureOf(request)}$`));
    }
  });

  await t.test('the same answer', async (t) => {
    answer = {
      status: 206, body: 'content', headers: {
        'content-length': '7', 'content-type': 'text/plain', 'content-range': 'bytes 0-6/20', etag: '"abc-2"', 'last-modified': 'Sun, 22 Nov 2026 20:00:00 GMT',
        'x-amz-meta-user_profile_id': '7', 'x-amz-meta-Odd': '=?UTF-8?Q?=C3=A9?=', 'x-amz-server-side-encryption': 'aws:kms', 'x-amz-checksum-crc32': 'AAAAAA==', 'x-amz-checksum-type': 'COMPOSITE',
      },
    };
    const { answers: [byClient, other], requests } = await both('2/a');
    t.strictSame(requests.map(short), [false, true]);
    t.strictSame(other, byClient);
    t.match(other, { status: 206, body: 'content', rest: { ContentLength: 7, ETag: '"abc-2"', Metadata: { user_profile_id: '7' }, LastModified: Date, ChecksumType: 'COMPOSITE' } });
  });

  await t.test('the same error', async (t) => {
    for (const [status, name] of [[404, 'NoSuchKey'], [403, 'AccessDenied'], [503, 'SlowDown'], [400, 'ExpiredToken'], [412, 'PreconditionFailed']] as const) {
      answer = { status, headers: { 'content-type': 'application/xml' }, body: `<?xml version="1.0"?><Error><Code>${name}</Code><Message>m</Message></Error>` };
      const { answers, requests } = await both('2/a');
      t.strictSame(requests.map(short), [false, true]);
      t.strictSame(answers, [{ name, status }, { name, status }]);
    }
    answer = { status: 502, headers: {}, body: '<html>Bad Gateway' };
    t.match((await both('2/a')).answers, [{ status: 502 }, { status: 502 }]);
  });

  await t.test('a clock that is off is the client\'s to learn of', async (t) => {
    answer = { status: 403, headers: { date: new Date(Date.now() + 3_600_000).toUTCString() }, body: '<Error><Code>RequestTimeTooSkewed</Code></Error>' };
    const client = clientOf();
    keepTemplates(client);
    seen.length = 0;
    for (let turn = 0; turn < 4; turn += 1) await t.rejects(requestObject(client, { Bucket: 'bucket', Key: '2/a' }), { name: 'RequestTimeTooSkewed' });
    t.strictSame(seen.map(short), [false, true, false, true]);
    const hour = (date = ''): string => date.slice(9, 11);
    t.not(hour(seen[3]?.headers['x-amz-date'] as string), hour(new Date().toISOString().replace(/[-:]/g, '')), 'then it is allowed for');
    client.destroy();
  });

  await t.test('a redirection is the client\'s to follow', async (t) => {
    answer = { status: 301, headers: {}, body: '<Error><Code>PermanentRedirect</Code></Error>' };
    const { answers, requests } = await both('2/a');
    t.strictSame(requests.map(short), [false, true, false]);
    t.match(answers, [{ status: 301 }, { status: 301 }]);
  });

  await t.test('buckets in the name of the host', async (t) => {
    const hosts: string[] = [];
    const client = clientOf({ endpoint: undefined });
    keepTemplates(client);
    const { requestHandler } = client.config;
    requestHandler.handle = (request) => {
      const { hostname, path, headers } = request as { hostname: string; path: string; headers: Record<string, string> };
      hosts.push(`${hostname}${path} ${headers.host ?? ''}`);
      return Promise.reject(new Error('nobody is asked'));
    };
    for (const bucket of ['one', 'two', 'one', 'two']) await t.rejects(requestObject(client, { Bucket: bucket, Key: '2/a b' }), /nobody is asked/);
    t.strictSame(hosts, ['one', 'two', 'one', 'two'].map((bucket) => `${bucket}.s3.eu-west-1.amazonaws.com/2/a%20b ${bucket}.s3.eu-west-1.amazonaws.com`));
    client.destroy();
  });
});
