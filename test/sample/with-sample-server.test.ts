import { spawn } from 'node:child_process';
import type { ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import type { Test } from 'tap';

const SCRIPT = join(import.meta.dirname, '..', '..', 'sample', 'with-sample-server.js');

type Running = ChildProcessByStdio<null, Readable, Readable>;

interface Run {
  code: number | null;
  errors: string;
  /** What was left in the directory for temporary files. */
  leftovers: string[];
}

/** Runs `script` (the text of an ES module) with the sample server. */
async function run(t: Test, script: string, meddle: (child: Running) => Promise<void>): Promise<Run> {
  // A short path for the server's socket, in which the user that PostgreSQL runs as may create and remove files.
  const temporary = mkdtempSync(join(tmpdir(), 'realmlift-sample-'));
  chmodSync(temporary, 0o777);
  t.teardown(() => rmSync(temporary, { recursive: true, force: true }));
  const child = spawn(process.execPath, [SCRIPT, process.execPath, '--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'pipe'], cwd: join(SCRIPT, '..', '..', '..'),
    env: { ...process.env, TMPDIR: temporary, AWS_PROFILE: 'none', PGSSLMODE: 'require', PGDATABASE: 'other' },
  });
  const [, errors, [code]] = await Promise.all([
    meddle(child),
    text(child.stderr),
    once(child, 'exit') as Promise<[number | null]>,
  ]);
  for (let waited = 0; waited < 10_000 && readdirSync(temporary).length > 0; waited += 50) await sleep(50);
  return { code, errors, leftovers: readdirSync(temporary) };
}

t.test('the command finds the database and the buckets; signals reach it, each once; its exit code is passed on; nothing stays', async (t) => {
  const lines: string[] = [];
  const { code, errors, leftovers } = await run(t, `
    import { ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3';
    import pg from 'pg';
    const db = new pg.Client({ connectionString: process.env.DATABASE_URL, ssl: false });
    await db.connect();
    const { rows } = await db.query("SELECT string_id FROM zulip.zerver_realm WHERE string_id <> 'zulipinternal' ORDER BY 1");
    await db.end();
    const s3 = new S3Client({ endpoint: process.env.S3_ENDPOINT, region: process.env.S3_REGION, forcePathStyle: true });
    const uploads = await s3.send(new ListObjectsV2Command({ Bucket: process.env.S3_UPLOADS_BUCKET }));
    const avatars = await s3.send(new ListObjectsV2Command({ Bucket: process.env.S3_AVATARS_BUCKET }));
    const seen = [];
    process.on('SIGINT', (signal) => { seen.push(signal); setTimeout(() => console.log('interrupted'), 200); });
    process.on('SIGTERM', (signal) => { seen.push(signal); setTimeout(() => { console.log(seen.join()); process.exit(7); }, 200); });
    setInterval(() => {}, 1000);
    console.log(JSON.stringify([rows.map((row) => row.string_id), uploads.KeyCount + avatars.KeyCount, process.env.ZULIP_AVATAR_SALT.length]));
  `, async (child) => {
    for await (const line of createInterface(child.stdout)) {
      lines.push(line);
      if (lines.length === 1) child.kill('SIGINT');
      if (line === 'interrupted') child.kill('SIGTERM');
    }
  });
  t.equal(code, 7, errors);
  t.same(JSON.parse(lines[0] ?? ''), [['acme', 'closed', 'globex', 'tiny'], 133, 64]);
  t.same(lines.slice(1), ['interrupted', 'SIGINT,SIGTERM']);
  t.match(errors, /^Using the built-in sample server \(realms acme, globex, tiny, closed\)/);
  t.same(leftovers, []);
});

t.test('a shell gets the settings, and however it ends the servers end with it and all is well', async (t) => {
  const child = spawn(process.execPath, [SCRIPT, '--shell'], { stdio: ['pipe', 'pipe', 'pipe'], env: { ...process.env, SHELL: '/bin/sh', PGDATABASE: 'other' }, cwd: join(SCRIPT, '..', '..', '..') });
  child.stdin.end('echo "$DATABASE_URL $S3_UPLOADS_BUCKET ${PGDATABASE-none}"; exit 7\n');
  const [output, errors, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit') as Promise<[number | null]>]);
  t.match(output, /^postgresql:\/\/postgres:\w+@127\.0\.0\.1:\d+\/zulip zulip-uploads none\n$/);
  t.equal(code, 0);
  t.match(errors, /A shell with the sample server.*DATABASE_URL.*Try: realmlift plan --realm acme.*\^D, ends it/s);
});

t.test('make says what is wrong before it builds or starts anything', async (t) => {
  const directory = t.testdir({ out: { acme: { 'manifest.json': '{}' } } });
  const make = async (...words: string[]): Promise<{ code: number | null; errors: string }> => {
    const child = spawn('make', [...words, `OUT=${join(directory, 'out')}`], { stdio: ['ignore', 'ignore', 'pipe'], cwd: join(SCRIPT, '..', '..', '..'), env: Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(PG|DATABASE_URL|MAKE|MFLAGS)/.test(name))) });
    const [errors, [code]] = await Promise.all([text(child.stderr), once(child, 'exit') as Promise<[number | null]>]);
    return { code, errors };
  };
  for (const [words, problem] of [
    [['export'], /REALM= is missing: make export REALM=name/], [['export', 'REALM=acme', 'MODE=all'], /MODE= is full, consent or public, and not all/],
    [['export', 'REALM=acme', 'UPLOADS=/srv'], /are of your own server/], [['load', 'DIR=x'], /TARGET= is missing/], [['backup', 'TO=x'], /RECIPIENT= is missing/],
    [['backup', 'TO=x', 'RECIPIENT=age1', 'UPLOADS=/srv'], /are of your own server/],
  ] as const) t.match(await make(...words), { code: 2, errors: problem }, words.join(' '));
  // Built it is, as tests run.
  for (const [words, problem] of [
    [['export', 'REALM=acme'], /acme is there already: look at .*report\.html; rm -r .*makes room/], [['export', 'REALM=tiny', 'ARGS=--bogus'], /unknown option '--bogus' \(realmlift export --help explains\)/],
  ] as const) {
    const { code, errors } = await make(...words, '-o', 'build');
    t.equal(code, 2);
    t.match(errors, problem);
    t.notMatch(errors, /sample server/, 'no server was started');
  }
});

t.test('a signal while the servers start ends them', async (t) => {
  const { code, leftovers } = await run(t, 'console.log("not reached")', async (child) => {
    await once(child.stderr, 'data');
    await sleep(200);
    child.kill('SIGTERM');
    t.equal(await text(child.stdout), '');
  });
  t.equal(code, 143);
  t.same(leftovers, []);
});

t.test('a command that does not exist is an error of one line', async (t) => {
  const child = spawn(process.execPath, [SCRIPT, 'no-such-command'], { stdio: ['ignore', 'ignore', 'pipe'] });
  const [errors, [code]] = await Promise.all([text(child.stderr), once(child, 'exit') as Promise<[number | null]>]);
  t.equal(code, 1);
  t.match(errors, /\nsample server: spawn no-such-command ENOENT\n/);
});
