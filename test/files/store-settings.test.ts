// What is wrong with the settings is one error, before the work starts, with a code, a hint and no secret.
import { execFile } from 'node:child_process';
import { createServer } from 'node:https';
import { request } from 'node:http';
import { createServer as createTcpServer, type AddressInfo } from 'node:net';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { HeadBucketCommand, HeadObjectCommand } from '@aws-sdk/client-s3';
import t from 'tap';
import { BucketStore } from '../../src/backup/store/bucket-store.js';
import { RealmliftError } from '../../src/errors.js';
import { openS3Store } from '../../src/files/s3/s3-store.js';
import { newS3Client } from '../../src/files/s3/s3-client.js';
import { s3Settings } from '../../src/files/s3/s3-settings.js';
import type { S3StoreSettings } from '../../src/files/s3/s3-store.js';
import { BUCKETS, startS3 } from '../testbed/s3-server.js';
import { s3Error, withFaultyProxy } from './faulty-proxy.js';

const SECRET = 'very-secret-access-key';
const CERTIFICATES = join(import.meta.dirname, '..', '..', '..', 'test', 'snapshot', 'tls');

t.test('settings', async (t) => {
  const server = await startS3();
  t.teardown(async () => server.stop());
  const known: S3StoreSettings = {
    endpoint: server.endpoint, region: 'us-east-1', uploadsBucket: BUCKETS.uploads, avatarsBucket: BUCKETS.avatars, timeout: 5, backoff: 10,
    credentials: { accessKeyId: 'S3RVER', secretAccessKey: SECRET },
  };
  const open = async (more: Partial<S3StoreSettings>): Promise<unknown> => {
    const store = await openS3Store({ ...known, ...more });
    store.close();
    return store;
  };
  const refuses = async (name: string, more: Partial<S3StoreSettings>, code: string): Promise<void> => {
    const error = await open(more).then(() => undefined, (error: unknown) => error);
    t.type(error, RealmliftError, name);
    const { line } = error as RealmliftError;
    t.match(error, { code, stage: 'files', hint: /./ }, line);
    t.notMatch(line, SECRET);
    t.notMatch(line, '\n');
  };

  t.equal(await open({}).then(() => 'opened'), 'opened');
  await refuses('no such bucket', { avatarsBucket: 'nowhere' }, 'BUCKET_MISSING');
  await refuses('a wrong key', { credentials: { accessKeyId: 'WRONG', secretAccessKey: SECRET } }, 'S3_CREDENTIALS_REFUSED');
  await refuses('no credentials', { credentials: () => Promise.reject(Object.assign(new Error('none found'), { name: 'CredentialsProviderError' })) }, 'S3_CREDENTIALS_MISSING');
  for (const endpoint of ['no address', 'ftp://s3.example']) await t.rejects(open({ endpoint }), { code: 'S3_ENDPOINT', stage: 'usage', exit: 2 }, endpoint);
  await refuses('nobody listens', { endpoint: 'http://127.0.0.1:1' }, 'S3_UNREACHABLE');
  for (const [status, name, code] of [
    [403, 'AccessDenied', 'BUCKET_FORBIDDEN'], [403, 'SignatureDoesNotMatch', 'S3_CREDENTIALS_REFUSED'], [400, 'ExpiredToken', 'S3_CREDENTIALS_REFUSED'], [503, 'SlowDown', 'S3_UNREACHABLE'], [404, 'NoSuchBucket', 'BUCKET_MISSING'],
  ] as const) {
    await withFaultyProxy(server.endpoint, () => s3Error(status, name), async ({ endpoint }) => refuses(name, { endpoint }, code));
  }
  await withFaultyProxy(server.endpoint, () => ({ kind: 'hang', after: 0 }), async ({ endpoint }) => refuses('a server that hangs', { endpoint, timeout: 0.2 }, 'S3_UNREACHABLE'));

  const tls = createServer({ key: readFileSync(join(CERTIFICATES, 'server.key')), cert: readFileSync(join(CERTIFICATES, 'server.crt')) }, (incoming, answer) => {
    const { hostname, port } = new URL(server.endpoint);
    incoming.pipe(request({ hostname, port, method: incoming.method, path: incoming.url, headers: incoming.headers }, (upstream) => {
      answer.writeHead(upstream.statusCode ?? 502, upstream.headers);
      upstream.pipe(answer);
    }));
  });
  await new Promise<void>((resolve) => tls.listen(0, resolve));
  t.teardown(() => {
    tls.closeAllConnections();
    tls.close();
  });
  const endpoint = `https://localhost:${(tls.address() as AddressInfo).port}`;
  await refuses('an authority that nobody knows', { endpoint }, 'S3_CERTIFICATE');
  await refuses('another authority', { endpoint, caFile: join(CERTIFICATES, 'other-ca.crt') }, 'S3_CERTIFICATE');
  await refuses('no such file', { endpoint, caFile: join(CERTIFICATES, 'none.crt') }, 'CA_FILE');
  await refuses('a file without a certificate', { endpoint, caFile: join(CERTIFICATES, 'server.key') }, 'CA_FILE');
  t.equal(await open({ endpoint, caFile: join(CERTIFICATES, 'ca.crt') }).then(() => 'opened'), 'opened', 'with its authority');

  // In a process of its own, for what the SDK has read of a home is kept.
  const homeless = `import os from 'node:os'; import { syncBuiltinESMExports } from 'node:module'; os.homedir = () => { throw new Error('ENOENT'); }; syncBuiltinESMExports();
    const { openS3Store } = await import(${JSON.stringify(new URL('../../src/files/s3/s3-store.js', import.meta.url))});
    await openS3Store(${JSON.stringify(known)}).then((store) => { store.close(); console.log('opened'); }, ({ line }) => console.log(line));`;
  t.equal((await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', homeless], { env: {} })).stdout, 'opened\n', 'for a user without a home');
});

t.test('settings out of the environment', (t) => {
  t.strictSame(s3Settings({}), { endpoint: undefined, region: undefined });
  t.strictSame(s3Settings({ S3_ENDPOINT: '', S3_REGION: '', S3_ADDRESSING_STYLE: '' }), { endpoint: undefined, region: undefined }, 'a variable without a value is not set');
  t.strictSame(s3Settings({ S3_ENDPOINT: 'https://s3.example', S3_REGION: 'r', S3_ADDRESSING_STYLE: 'auto' }), { endpoint: 'https://s3.example', region: 'r' });
  t.match(s3Settings({ S3_ADDRESSING_STYLE: 'path' }), { forcePathStyle: true });
  t.match(s3Settings({ S3_ENDPOINT: 'https://s3.example', S3_ADDRESSING_STYLE: 'virtual' }), { forcePathStyle: false });
  t.throws(() => s3Settings({ S3_ADDRESSING_STYLE: 'dns' }), { code: 'S3_ADDRESSING', stage: 'usage', exit: 2 });
  t.end();
});

t.test("without settings of ours those of the AWS tools' profile", async (t) => {
  const config = join(t.testdir({ config: `
[profile there]
region = eu-central-1
endpoint_url = https://store.example
[profile at-aws]
region = eu-west-3
[default]
` }), 'config');
  /** Where a request would go, and by which region it is signed. */
  const asked = async (profile: string, env: Readonly<Record<string, string>> = {}): Promise<string> => {
    const before = { ...process.env };
    for (const name of ['AWS_REGION', 'AWS_DEFAULT_REGION', 'AWS_ENDPOINT_URL', 'AWS_ENDPOINT_URL_S3']) delete process.env[name];
    Object.assign(process.env, { AWS_CONFIG_FILE: config, AWS_PROFILE: profile, ...env });
    const client = newS3Client({ ...s3Settings(env), credentials: { accessKeyId: 'k', secretAccessKey: 's' } });
    try {
      let to = '';
      client.middlewareStack.add(() => (call) => {
        const { hostname, path, headers } = call.request as { hostname: string; path: string; headers: Record<string, string> };
        to = `${hostname}${path} ${/Credential=k\/\d+\/([^/]+)/.exec(headers['authorization'] ?? '')?.[1] ?? ''}`;
        return Promise.reject(new Error('not sent'));
      }, { step: 'finalizeRequest', priority: 'low' });
      await t.rejects(client.send(new HeadObjectCommand({ Bucket: 'uploads', Key: 'a' })), { message: 'not sent' });
      return to;
    } finally {
      client.destroy();
      process.env = before;
    }
  };
  t.equal(await asked('there'), 'store.example/uploads/a eu-central-1');
  t.equal(await asked('at-aws'), 'uploads.s3.eu-west-3.amazonaws.com/a eu-west-3');
  t.equal(await asked('default'), 'uploads.s3.us-east-1.amazonaws.com/a us-east-1');
  t.equal(await asked('there', { AWS_DEFAULT_REGION: 'eu-north-1', S3_ADDRESSING_STYLE: 'virtual' }), 'uploads.store.example/a eu-north-1');
  t.equal(await asked('there', { S3_ENDPOINT: 'https://own.example', S3_REGION: 'here' }), 'own.example/uploads/a here');
});

t.test('a server that never says a word is asked for a while, and not as often as one that has answered', async (t) => {
  let connections = 0;
  const silent = createTcpServer(() => { connections++; });
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  const connection = { endpoint: `http://127.0.0.1:${(silent.address() as AddressInfo).port}`, region: 'us-east-1', credentials: { accessKeyId: 'A', secretAccessKey: SECRET }, timeout: 0.1, firstWord: 0.15, backoff: 1 };
  const client = newS3Client(connection);
  t.teardown(() => {
    client.destroy();
    silent.close();
  });
  const unanswered = { code: 'S3_UNREACHABLE', message: /^the S3 server at 127\.0\.0\.1:\d+ lets connections hang, and has said nothing for \d+ s$/, hint: /S3_ENDPOINT/ };
  await t.rejects(BucketStore.of('s3://backups', connection).list(), unanswered);
  await t.rejects(client.send(new HeadBucketCommand({ Bucket: 'backups' })), unanswered);
  t.ok(connections < 8, `${connections} connections`);
});
