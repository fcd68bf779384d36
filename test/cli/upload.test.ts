// Exports that end in S3: whole there, or refused before anything was exported, or without a manifest.
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import type { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { DeleteObjectCommand, GetObjectCommand, ListObjectsV2Command, PutObjectCommand } from '@aws-sdk/client-s3';
import t from 'tap';
import { byteSize } from '../../src/cli/options/byte-size.js';
import { withUpload } from '../../src/cli/upload.js';
import { withFaultyProxy } from '../files/faulty-proxy.js';
import { BUCKETS, withS3 } from '../testbed/s3-server.js';
import { AVATAR_SALT } from '../testbed/test-data.js';
import { withTestDatabase } from '../testbed/test-database.js';
import { realmliftHere } from './command-here.js';
import { realmlift, type CommandSettings, type Ended } from './command-line.js';

t.test('words that do not go together', async (t) => {
  const under = { signal: new AbortController().signal, onEvent: () => undefined };
  const never = (): Promise<never> => Promise.reject(new Error('begun'));
  for (const [options, code, message] of [
    [{ output: 's3://bucket/x', resume: true }, 'USAGE', /gone when it stops/],
    [{ output: 's3://bucket/x', upload: 's3://bucket/y' }, 'USAGE', /both/],
    [{ output: 'out', overwrite: true }, 'USAGE', /--overwrite and --sse/],
    [{ output: 'out', upload: 's3://bucket', sseKmsKeyId: 'key' }, 'USAGE', /KMS/],
    [{ output: 'out', upload: 'bucket/x' }, 'UPLOAD_URL', /bucket\/x names no bucket/],
  ] as const) await t.rejects(withUpload(options, under, never), { code, message, exit: 2 });
  t.strictSame(['16MiB', '20 MB', '1gib', '1048576'].map(byteSize(1 << 20)), [16 << 20, 20e6, 1 << 30, 1 << 20]);
  for (const wrong of ['16', '1.5MiB', 'MiB', '16 bananas', '-1']) t.throws(() => byteSize(1 << 20)(wrong), /such as 16MiB/, wrong);
});

t.test('exports in S3', async (t) => {
  const directory = t.testdir({ temporary: {} });
  const temporary = join(directory, 'temporary');
  await withS3(async ({ environment, client, endpoint: direct }) => withTestDatabase('zulip-11/s3', async (url) => {
    const run = (words: readonly string[], endpoint = direct, meanwhile?: CommandSettings['meanwhile']): Promise<Ended> => {
      const all = ['export', '--realm', 'tiny', '--jobs', '1', ...words];
      const env = { ...environment, DATABASE_URL: url, ZULIP_AVATAR_SALT: AVATAR_SALT['zulip-11/s3'], TMPDIR: temporary, S3_ENDPOINT: endpoint };
      return meanwhile === undefined ? realmliftHere(all, env) : realmlift(all, { env, meanwhile });
    };
    const keys = async (prefix: string): Promise<string[]> => ((await client.send(new ListObjectsV2Command({ Bucket: BUCKETS.avatars, Prefix: prefix }))).Contents ?? []).map(({ Key }) => Key ?? '');
    const content = async (Key: string): Promise<Buffer> => buffer((await client.send(new GetObjectCommand({ Bucket: BUCKETS.avatars, Key }))).Body as Readable);
    const place = (prefix: string): string => `s3://${BUCKETS.avatars}/${prefix}`;
    const nothingLeft = (): boolean => t.strictSame(readdirSync(temporary), [], 'nothing stays below TMPDIR');

    await t.test('--output', async (t) => {
      const { code, stderr } = await run(['--output', place('exports')]);
      t.equal(code, 0, stderr);
      t.match(stderr, /^tiny: exported to s3:\/\/zulip-avatars\/exports\/tiny in /m);
      nothingLeft();
      const stored = await keys('exports/');
      const { files } = JSON.parse((await content('exports/tiny/manifest.json')).toString()) as { files: { path: string; sha256: string; size: number }[] };
      t.strictSame(stored, [...[...files.map(({ path }) => path), 'manifest.json', 'catch-up.journal', 'report.html', 'times.json'].map((path) => `exports/tiny/${path}`)].sort());
      t.match((await content('exports/tiny/report.html')).toString(), /<pre>aws --endpoint-url http:\/\/[\w.]+:\d+ s3 sync s3:\/\/zulip-avatars\/exports\/tiny tiny<\/pre>.*import-check tiny /s, 'its page is there, and says how to get it');
      for (const { path, sha256 } of files) t.equal(createHash('sha256').update(await content(`exports/tiny/${path}`)).digest('hex'), sha256, path);

      const again = await run(['--output', place('exports')]);
      t.equal(again.code, 1);
      t.match(again.errors, [/^realmlift: UPLOAD_EXISTS \[files\]: s3:\/\/zulip-avatars\/exports\/tiny\/ is not empty \(.*--overwrite\)$/], 'and nothing before it');
      nothingLeft();
    });

    await t.test('a bucket that is not there is told before the export', async (t) => {
      const out = join(directory, 'never');
      const missing = await run(['--output', out, '--upload', 's3://no-such-bucket/x']);
      t.match(missing, { code: 1, stderr: /^realmlift: BUCKET_MISSING \[files\]: .*no-such-bucket.*--upload/ });
      t.notOk(existsSync(join(out, 'tiny')));
    });

    await t.test('--upload --tarball, encrypted, with its checksum last', async (t) => {
      const out = join(directory, 'tarball');
      const puts: string[] = [];
      const ended = await withFaultyProxy(direct, ({ method, path, headers }) => void (method === 'PUT' && puts.push(`${path} ${headers['x-amz-server-side-encryption']?.toString()}`)), async ({ endpoint }) =>
        run(['--output', out, '--tarball', '--upload', place('tar'), '--sse', 'AES256'], endpoint));
      t.equal(ended.code, 0, ended.stderr);
      t.match(ended.stderr, new RegExp(`^tiny: exported to ${join(out, 'tiny')} and s3://zulip-avatars/tar/tiny\\.tar\\.gz in `, 'm'));
      t.match(ended.stderr, `\n  next: realmlift import-check ${join(out, 'tiny')} --target-url URL --subdomain NAME\n`);
      t.strictSame(puts, ['tiny.tar.gz', 'tiny.tar.gz.sha256'].map((name) => `/${BUCKETS.avatars}/tar/${name} AES256`));
      t.equal((await content('tar/tiny.tar.gz.sha256')).toString(), `${createHash('sha256').update(await content('tar/tiny.tar.gz')).digest('hex')}  tiny.tar.gz\n`);
    });

    await t.test('several realms, and what binds them last', async (t) => {
      const { code, stderr } = await run(['--realm', 'closed', '--no-verify', '--output', place('several')]);
      t.equal(code, 0, stderr);
      t.match(stderr, /\n {2}next: aws --endpoint-url http:\/\/[\w.]+:\d+ s3 sync s3:\/\/zulip-avatars\/several\/tiny tiny && realmlift import-check tiny --target-url URL --subdomain NAME\n/);
      const stored = await keys('several/');
      for (const name of ['several/manifest.json', 'several/report.html', 'several/closed/manifest.json', 'several/tiny/manifest.json']) t.ok(stored.includes(name), name);
    });

    await t.test('what answers in the place of the server has stored nothing', async (t) => {
      const OK = { kind: 'status', status: 200, body: '' } as const;
      for (const [name, always] of [['once', false], ['always', true]] as const) {
        const ended = await withFaultyProxy(direct, ({ method, path, repeat }) => (method === 'PUT' && path.endsWith('/realm.json') && (always || repeat === 0) ? OK : undefined), async ({ endpoint }) =>
          run(['--output', place(name), '--no-verify'], endpoint));
        const stored = await keys(`${name}/`);
        if (always) t.match(ended, { code: 1, stderr: /^realmlift: UPLOAD_FAILED \[files\]: cannot store realm\.json .*\(the answer does not name what was stored\).*what is there is replaced with --overwrite\)$/m });
        else t.equal(ended.code, 0, ended.stderr);
        t.equal(stored.includes(`${name}/tiny/realm.json`), !always);
        t.equal(stored.includes(`${name}/tiny/manifest.json`), !always);
      }
    });

    await t.test('^C while it is stored: no manifest there, the export whole here, and --resume stores it', async (t) => {
      const out = join(directory, 'cut');
      const words = ['--realm', 'closed', '--output', out, '--no-verify', '--upload', place('cut')];
      let interrupt = (): void => undefined;
      const ended = await withFaultyProxy(direct, ({ method, path }) => {
        if (method !== 'PUT' || !path.includes('/cut/')) return undefined;
        interrupt();
        // A second signal would end the process at once.
        interrupt = () => undefined;
        return { kind: 'hang', after: 0 };
      }, async ({ endpoint }) => run(words, endpoint, (child) => {
        interrupt = () => {
          child.kill('SIGINT');
        };
        return Promise.resolve();
      }));
      t.equal(ended.code, 130, ended.stderr);
      t.match(ended.errors.at(-1), /^realmlift: STOPPED \[files\]: stopped by SIGINT.*\(.*cut\/tiny is whole; what was stored of it has no manifest: run again with --resume to store it\)$/);
      t.ok(existsSync(join(out, 'tiny', 'manifest.json')));
      t.notOk((await keys('cut/')).includes('cut/tiny/manifest.json'));

      const put = async (name: string): Promise<unknown> => client.send(new PutObjectCommand({ Bucket: BUCKETS.avatars, Key: `cut/${name}`, Body: 'x' }));
      await put('tiny/another');
      t.match(await run([...words, '--resume']), { code: 1, stderr: /^tiny: realmlift: UPLOAD_EXISTS .*cut\/tiny\/ is not empty/m }, 'what is not of the export is not replaced');
      t.match(await keys('cut/tiny/another'), ['cut/tiny/another']);
      await client.send(new DeleteObjectCommand({ Bucket: BUCKETS.avatars, Key: 'cut/tiny/another' }));
      const { code, stderr } = await run([...words, '--resume']);
      t.equal(code, 0, stderr);
      t.match(stderr, /^tiny: in \S+cut\/tiny and s3:\/\/zulip-avatars\/cut\/tiny; it was finished before, out of the snapshot of /m);
      const local = readdirSync(out, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).map((entry) => relative(out, join(entry.parentPath, entry.name)));
      t.strictSame((await keys('cut/')).sort(), local.map((path) => `cut/${path}`).sort());
      for (const path of local) t.ok((await content(`cut/${path}`)).equals(readFileSync(join(out, path))), path);

      const puts: string[] = [];
      await withFaultyProxy(direct, ({ method, path }) => void (method === 'PUT' && puts.push(path)), async ({ endpoint }) => {
        t.match(await run([...words, '--resume'], endpoint), { code: 0 });
      });
      t.strictSame(puts.filter((path) => /\/(tiny|closed)\//.test(path)), [], 'what is whole there is not stored again');
      await put('manifest.json');
      t.match(await run([...words, '--resume', '--overwrite']), { code: 0 }, 'and --overwrite stores it anew');
      await put('tiny/manifest.json');
      t.match(await run([...words, '--resume']), { code: 1, stderr: /^realmlift: UPLOAD_EXISTS .*cut\/tiny\/manifest\.json is there already/m }, 'another export is refused');
    });
  }));
});
