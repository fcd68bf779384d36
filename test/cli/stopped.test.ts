/** ^C in long commands: what is left is told, and how to go on; the exit code is that of the signal. */
import { on, once } from 'node:events';
import { cpSync, existsSync, mkdirSync, readdirSync, truncateSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import t from 'tap';
import { NEEDS_PG_DUMP, withPlace } from '../backup/test-backup.js';
import { sampleExport } from '../pipe/sample-export.js';
import { NEW_SALT } from '../testbed/test-data.js';
import { withEmptyDatabase, withTestDatabase } from '../testbed/test-database.js';
import { realmlift, type Ended } from './command-line.js';

t.setTimeout(180_000);

const root = t.testdir();

/** Interrupts the command when it tells of a step for the first time. What writes much cannot end before. */
function interrupted(words: readonly string[], env: Readonly<Record<string, string>> = {}, step = ''): Promise<Ended> {
  let read = (): void => undefined;
  const unread = new Promise<void>((resolve) => { read = resolve; });
  return realmlift([...words, '--json'], {
    env, unread, meanwhile: (child) => new Promise((resolve) => {
      child.once('exit', read);
      child.once('close', () => resolve());
      child.stderr?.on('data', (chunk: Buffer) => {
        // Once: a second signal ends the process without waiting.
        if (child.killed || !chunk.toString().includes(`"step":"${step}`)) return;
        child.kill('SIGINT');
        read();
      });
    }),
  });
}

function told({ errors }: Ended): { code?: string; message?: string; hint?: string } {
  return JSON.parse(errors.at(-1) ?? '{}') as { code?: string };
}

/** Interrupts the command when it has come to the server, which never answers. */
async function interruptedAtServer(wordsFor: (url: string) => readonly string[]): Promise<Ended> {
  const silent = createServer((socket) => { socket.on('error', () => undefined); }).listen(0, '127.0.0.1');
  await once(silent, 'listening');
  const { port } = silent.address() as AddressInfo;
  const url = `postgresql://somebody@127.0.0.1:${port}/zulip`;
  const ended = await realmlift(wordsFor(url), {
    env: { DATABASE_URL: url, S3_ENDPOINT: `http://127.0.0.1:${port}`, S3_REGION: 'here', AWS_ACCESS_KEY_ID: 'key', AWS_SECRET_ACCESS_KEY: 'secret', ZULIP_AVATAR_SALT: 'x', S3_UPLOADS_BUCKET: 'uploads', S3_AVATARS_BUCKET: 'avatars' },
    meanwhile: async (child) => {
      await once(silent, 'connection');
      child.kill('SIGINT');
    },
  });
  silent.close();
  return ended;
}

t.test('stopped while the first server is silent', async (t) => {
  const output = join(root, 'never');
  await Promise.all(([
    [() => ['export', '--realm', 'acme', '--output', output], 'STOPPED [copy]: stopped by SIGINT; nothing half-written is at its final path'],
    [(url) => ['export', '--realm', 'acme', '--output', output, '--queue', url.replace('zulip', 'queue')], 'STOPPED [copy]: stopped by SIGINT; nothing half-written is at its final path'],
    [(url) => ['export', '--realm', 'acme', '--output', output, '--remap', '--target-url', url], 'STOPPED [usage]: stopped by SIGINT; nothing was begun'],
    [(url) => ['worker', '--queue', url], 'STOPPED [queue]: stopped by SIGINT; what it had not finished is given to other workers'],
    [() => ['install'], 'STOPPED [plan]: stopped by SIGINT; the views are as they were, or as they are to be'],
    [() => ['verify', 's3://backups/zulip'], 'STOPPED [usage]: stopped by SIGINT; nothing was begun'],
    [(url) => ['restore', 's3://backups/zulip', '--identity', '/dev/null', '--database-url', url], 'STOPPED [restore]: stopped by SIGINT; nothing was written yet'],
  ] satisfies [(url: string) => readonly string[], string][]).map(async ([wordsFor, message]) => {
    const ended = await interruptedAtServer(wordsFor);
    t.match(ended, { code: 130, errors: { length: 1 } }, `${wordsFor('URL').join(' ')}: ${ended.stderr}`);
    t.ok(ended.stderr.startsWith(`realmlift: ${message} (`), ended.stderr);
  }));
});

t.test('a demo that is stopped leaves nothing in the way of the next', async (t) => {
  const ended = await realmlift(['demo', '--output', join(root, 'demo'), '--no-open'], {
    meanwhile: async (child) => {
      for await (const [chunk] of on(child.stderr as Readable, 'data', { close: ['end'] }) as AsyncIterable<[Buffer]>) if (chunk.includes('realmlift export')) break;
      child.kill('SIGINT');
    },
  });
  t.match(ended, { code: 130, stderr: /^realmlift: STOPPED .*\(run it again\)$/m });
  t.notOk(existsSync(join(root, 'demo', 'acme.partial')));
});

t.test('stopped half-way', NEEDS_PG_DUMP, async (t) => withTestDatabase('zulip-11/local', async (url) => withPlace(async ({ to, recipient, identityFile }) => {
  const acme = (await sampleExport(url, { realm: 'acme', output: join(root, 'out') }))[0] as string;
  const backup = ['backup', '--to', to, '--recipient', recipient];
  // That takes long to read, however late the signal comes: a file with a hole.
  const large = join(root, 'large');
  cpSync(acme, large, { recursive: true });
  writeFileSync(join(large, 'uploads', 'large'), '');
  truncateSync(join(large, 'uploads', 'large'), 4 * 1024 ** 3);

  await t.test('backup', async (t) => {
    const ended = await interrupted(backup, { DATABASE_URL: url }, 'rows');
    t.equal(ended.code, 130);
    t.match(told(ended), { kind: 'failed', code: 'STOPPED', stage: 'backup', message: 'stopped by SIGINT; nothing is left of the unfinished backup, and older ones are as they were', hint: 'run it again from the start' });
    t.same(readdirSync(to).filter((name) => name.startsWith('backup-')), []);
  });

  t.equal((await realmlift(backup, { env: { DATABASE_URL: url } })).code, 0);
  await t.test('restore, which then goes on', async (t) => withEmptyDatabase(async (target) => {
    const words = ['restore', to, '--identity', identityFile, '--database-url', target];
    const ended = await interrupted(words, {}, 'schema');
    t.equal(ended.code, 130);
    t.match(told(ended), { code: 'STOPPED', stage: 'restore', message: /^stopped by SIGINT; (nothing was written yet|the database is unfinished and says so)$/, hint: /run the same command again/ });
    t.match(await realmlift(words), { code: 0 });
  }));

  await t.test('verify of a backup and of an export', async (t) => {
    for (const words of [['verify', to, '--identity', identityFile], ['verify', large]]) {
      const ended = await interrupted(words);
      t.equal(ended.code, 130, ended.stderr);
      t.match(told(ended), { code: 'STOPPED', stage: 'verify', message: 'stopped by SIGINT; nothing was written' });
    }
  });

  for (const [name, words] of [['merge', ['merge', acme, join(root, 'out2', 'acme')]], ['remap', ['remap', acme, '--id-base', '1000']]] as const) {
    await t.test(name, async (t) => {
      if (name === 'merge') await sampleExport(url, { realm: 'acme', output: join(root, 'out2') });
      const output = join(root, `${name}d`);
      const ended = await interrupted([...words, '--output', output]);
      t.equal(ended.code, 130, ended.stderr);
      t.match(told(ended), { code: 'STOPPED', stage: name, message: 'stopped by SIGINT; nothing is left of it' });
      t.notOk(existsSync(output) || existsSync(`${output}.partial`));
    });
  }

  await t.test('load, while it copies', async (t) => withTestDatabase('zulip-11/new-server', async (target) => {
    mkdirSync(join(root, 'uploads'));
    // What a session sees of the others stays the same within a transaction.
    const [blocker, onlooker] = [new pg.Client({ connectionString: target }), new pg.Client({ connectionString: target })];
    await Promise.all([blocker.connect(), onlooker.connect()]);
    await blocker.query('BEGIN; LOCK TABLE zulip.zerver_usergroup IN SHARE MODE');
    const ended = await realmlift(['load', acme, '--target-url', target, '--subdomain', 'stopped', '--uploads-dir', join(root, 'uploads')], {
      env: { ZULIP_AVATAR_SALT: NEW_SALT },
      meanwhile: async (child) => {
        for (let waits = false; !waits && child.exitCode === null; await sleep(50)) {
          waits = ((await onlooker.query("SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE 'COPY%'")).rowCount ?? 0) > 0;
        }
        child.kill('SIGINT');
        await sleep(200);
        await Promise.all([blocker.end(), onlooker.end()]);
      },
    });
    t.match(ended, { code: 130, stderr: /^realmlift: STOPPED \[load\]: stopped by SIGINT; nobody sees anything of the realm \(the realm is incomplete and deactivated: --resume goes on, --undo removes what was loaded\)$/m });
  }));

  await t.test('pipe, import-check', async (t) => {
    for (const words of [['pipe', acme], ['import-check', large]]) {
      const ended = await interrupted(words);
      t.equal(ended.code, 130, ended.stderr);
      t.match(told(ended), { code: 'STOPPED' });
    }
  });

  await t.test('split', async (t) => withEmptyDatabase(async (target) => {
    const ended = await interrupted(['split', '--realm', 'acme', '--target-url', target], { DATABASE_URL: url }, 'rows');
    t.equal(ended.code, 130, ended.stderr);
    t.match(told(ended), { code: 'STOPPED', message: /the database is unfinished and says so/, hint: /--restart removes all that is there/ });
  }));

  await t.test('load', async (t) => withTestDatabase('zulip-11/new-server', async (target) => {
    const words = ['load', acme, '--target-url', target, '--subdomain', 'acme', '--uploads-dir', root];
    const ended = await interrupted(words, { ZULIP_AVATAR_SALT: 'x' }, 'all other rows');
    t.equal(ended.code, 130, ended.stderr);
    t.match(told(ended), { code: 'STOPPED', hint: 'the realm is incomplete and deactivated: --resume goes on, --undo removes what was loaded' });
  }));
})));
