/** Splits that were killed, stopped or refused: what they leave, and how it goes on. */
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import type pg from 'pg';
import t from 'tap';
import { connectionSettings } from '../../src/snapshot/connection-settings.js';
import { splitRealms, type SplitRequest } from '../../src/commands/split.js';
import { NEEDS_PG_DUMP, query } from '../backup/test-backup.js';
import { realmlift, type Ended } from '../cli/command-line.js';
import { FaultyConnection, stoppedAtLastCommit } from '../snapshot/faulty-connection.js';
import { withClient } from '../testbed/database-client.js';
import { uploadsDirectory } from '../testbed/expected-export.js';
import { LONG } from '../testbed/long-tests.js';
import { withEmptyDatabase, withTestDatabase } from '../testbed/test-database.js';
import { digests } from './digests.js';
import { CLI } from '../testbed/tested-cli.js';

const UNFINISHED = `SELECT FROM pg_namespace WHERE nspname = 'realmlift_split'`;

async function command(source: string, words: readonly string[], meanwhile?: (child: ChildProcess) => Promise<void>): Promise<Ended> {
  return realmlift(['split', '--realm', 'acme', '--jobs', '2', ...words], { env: { DATABASE_URL: source, PATH: process.env.PATH ?? '' }, ...(meanwhile === undefined ? {} : { meanwhile }) });
}

/** Waits until a split that begins now has done so many steps of its journal. @param earlier the journal that an unfinished one has left */
async function reached(target: string, child: { readonly exitCode: number | null }, steps: number, earlier?: number): Promise<void> {
  await withClient(target, async (client) => {
    for (let at = -1; child.exitCode === null && at < steps; await sleep(3)) {
      const { rows } = await client.query<{ n: number }>('SELECT count(*)::int AS n FROM realmlift_split.done').catch(() => ({ rows: [] }));
      at = await journal(client) === earlier ? -1 : rows[0]?.n ?? -1;
    }
  });
}

async function journal(client: pg.Client): Promise<number | undefined> {
  return (await client.query<{ oid: number }>(`SELECT oid::int8::float8 AS oid FROM pg_namespace WHERE nspname = 'realmlift_split'`)).rows[0]?.oid;
}

t.test('killed at any moment it says so, and is begun anew', NEEDS_PG_DUMP, async (t) => {
  await withTestDatabase('zulip-11/local', (source) => withEmptyDatabase((clean) => withEmptyDatabase(async (target) => {
    t.equal((await command(source, ['--target-url', clean])).code, 0);
    let killed = 0;
    // The first step is the schema, all others are indexes and constraints; the rows come between.
    for (const steps of LONG ? [0, 1, 2, 60, 200] : [0, 1]) {
      const words = ['--target-url', target, '--restart'];
      const earlier = await withClient(target, journal);
      await command(source, words, async (child) => {
        await reached(target, child, steps, earlier);
        if (steps === 1) await sleep(150);
        child.kill('SIGKILL');
      });
      if ((await query(target, UNFINISHED)).length === 1) killed++;
    }
    t.equal(killed, LONG ? 5 : 2);
    t.match(await command(source, ['--target-url', target]), { code: 3, stderr: /SPLIT_UNFINISHED .*unfinished split of acme \(--restart removes all that is there and begins anew\)/ });
    const left = await withClient(target, journal);
    const stopped = await command(source, ['--target-url', target, '--restart'], async (child) => {
      await reached(target, child, 60, left);
      child.kill('SIGINT');
    });
    t.match(stopped, { code: 130, stderr: /STOPPED \[split\]: stopped by SIGINT; the database is unfinished and says so \(--restart removes all that is there and begins anew\)/ });
    t.notMatch(stopped.stderr, /--resume/);
    const done = await command(source, ['--target-url', target, '--restart']);
    t.equal(done.code, 0, done.stderr);
    t.strictSame(await query(target, UNFINISHED), []);
    t.strictSame(await digests(target), await digests(clean), 'as one that was never cut off');
    t.match(await command(source, ['--target-url', target, '--restart']), { code: 1, stderr: /DATABASE_NOT_EMPTY/ }, 'what is finished is not removed');
  })));
});

t.test('a database that is not empty is refused, whatever it holds', NEEDS_PG_DUMP, async (t) => {
  await withTestDatabase('zulip-11/local', async (source) => {
    for (const sql of ['CREATE TABLE public.notes (id int)', 'CREATE SCHEMA zulip', 'CREATE FUNCTION public.f() RETURNS int LANGUAGE sql AS $$SELECT 1$$', 'SELECT lo_create(0)', 'CREATE SCHEMA realmlift_restore']) {
      await withEmptyDatabase(async (target) => {
        await query(target, sql);
        const settings = connectionSettings(target, {});
        for (const restart of [false, true]) await t.rejects(splitRealms(request(source, settings, restart)), { code: 'DATABASE_NOT_EMPTY', stage: 'split', exit: 1, message: /^the database is not empty/, hint: /^create a new one/ }, sql);
        t.strictSame(await query(target, UNFINISHED), []);
      });
    }
    await withEmptyDatabase(async (target) => t.match(await command(source, ['--target-url', target]), { code: 1, stderr: /ENCODING \[split\].*LATIN1.*createdb --template=template0 --encoding=UTF8/ }), 'LATIN1');
  });
});

t.test('a role that may not read all is refused before anything is written', NEEDS_PG_DUMP, async (t) => {
  await withTestDatabase('zulip-11/local', (source) => withEmptyDatabase(async (target) => {
    const role = `reader_${randomBytes(4).toString('hex')}`;
    await query(source, `CREATE ROLE ${role} LOGIN PASSWORD 'x'; GRANT USAGE ON SCHEMA zulip TO ${role}; GRANT SELECT ON ALL TABLES IN SCHEMA zulip TO ${role}`);
    try {
      const as = new URL(source);
      [as.username, as.password] = [role, 'x'];
      await t.rejects(splitRealms(request(as.href, connectionSettings(target, {}))), { code: 'RIGHT_MISSING', message: /may not read \d+ sequences/ });
      t.strictSame(await query(target, UNFINISHED), []);
    } finally {
      await query(source, `DROP OWNED BY ${role}; DROP ROLE ${role}`);
    }
  }));
});

t.test('the target goes away', NEEDS_PG_DUMP, async (t) => {
  await withTestDatabase('zulip-11/local', async (source) => {
    await withEmptyDatabase(async (target) => {
      const ended = await command(source, ['--quiet', '--target-url', target], async (child) => {
        await reached(target, child, 1);
        const { pathname } = new URL(target);
        const maintenance = new URL(target);
        maintenance.pathname = '/postgres';
        await query(maintenance.href, `DROP DATABASE "${pathname.slice(1)}" WITH (FORCE)`);
        await query(maintenance.href, `CREATE DATABASE "${pathname.slice(1)}"`);
      });
      t.match(ended, { code: 1, stderr: /(CONNECTION_LOST|SERVER_UNREACHABLE|DATABASE_UNKNOWN|SCHEMA_REFUSED|SERVER_REFUSED|ROWS_REFUSED) \[.*--restart/ });
      t.equal(ended.errors.length, 1);
    });
    await t.rejects(splitRealms({ ...request(source, connectionSettings(source, {})), pgDump: '/bin/false' }), { code: 'PG_DUMP_MISSING', stage: 'split', hint: /--pg-dump/ });
    await withEmptyDatabase(async (target) => {
      const proxy = await FaultyConnection.open(target, '&connect_timeout=1');
      let seen = 0;
      // In the midst of the rows: the connection lives, and carries nothing any more.
      proxy.onSent = (bytes) => { if (bytes.includes('COPY ') && ++seen === 40) proxy.hang(); };
      const started = performance.now();
      await t.rejects(splitRealms(request(source, { ...connectionSettings(proxy.url, {}), silence: 300 })), { code: 'CONNECTION_STALLED', hint: /--restart/ });
      t.ok(performance.now() - started < 30_000);
      proxy.close();
    });
  });
});

function request(source: string, target: ReturnType<typeof connectionSettings>, restart = false): SplitRequest {
  return {
    settings: connectionSettings(source, {}), to: { kind: 'database', settings: target, restart }, files: undefined, patience: { timeout: undefined, onWait: () => undefined }, signal: undefined,
    targets: { realms: ['acme'], exclude: [], users: undefined, approved: undefined, allowUnknown: false }, mode: 'full', consentMessage: undefined, approvedFilesOnly: true, avatars: true, force: false,
    decisions: { strip: new Set(), keep: new Set() }, zulipVersion: undefined, jobs: 2, pgDump: 'pg_dump',
  };
}

t.test('one that is stopped while the server commits its last step is complete', NEEDS_PG_DUMP, async (t) => {
  await withTestDatabase('zulip-11/local', (source) => withEmptyDatabase(async (target) => {
    const asked = request(source, connectionSettings(target, {}));
    const result = await stoppedAtLastCommit(target, 'realmlift_split', (url, signal) => splitRealms({ ...asked, targets: { ...asked.targets, realms: ['tiny'] }, signal, to: { kind: 'database', settings: connectionSettings(url, {}), restart: false } }));
    t.match(result, { realms: ['tiny'], database: { tables: Number } });
    t.equal((await query(target, UNFINISHED)).length, 0);
  }));
});

t.test('a script has its name when it is whole, and a part of it leaves nothing', NEEDS_PG_DUMP, async (t) => {
  const place = t.testdir();
  const script = join(place, 'acme.sql');
  await withTestDatabase('zulip-11/local', async (source) => {
    const words = ['--output', script];
    await command(source, words, async (child) => {
      while (child.exitCode === null && !readdirSync(place).includes('acme.sql.partial')) await sleep(3);
      child.kill('SIGKILL');
    });
    t.strictSame(readdirSync(place), ['acme.sql.partial']);
    t.match(await command(source, words), { code: 2, stderr: /OUTPUT_UNUSABLE .*acme\.sql\.partial.*--restart removes it/ });
    t.equal((await command(source, [...words, '--restart'])).code, 0);
    t.strictSame(readdirSync(place), ['acme.sql']);
    const whole = readFileSync(script);
    t.match(await command(source, words), { code: 2, stderr: /OUTPUT_UNUSABLE .*it is there already/ });
    t.same(readFileSync(script), whole, 'what is there is not overwritten');

    const cut = join(place, 'cut.sql');
    const content = whole.toString('latin1');
    const ends = [0.2, 0.5, 0.9].map((part) => Math.floor(content.length * part));
    await withEmptyDatabase(async (target) => {
      for (const end of [...ends, content.indexOf('\nCOPY ') + 200, content.lastIndexOf('COMMIT;')]) {
        writeFileSync(cut, whole.subarray(0, end));
        await promisify(execFile)('psql', ['--no-psqlrc', '--quiet', `--dbname=${target}`, `--file=${cut}`]).catch(() => undefined);
        t.strictSame(await query(target, `SELECT FROM pg_namespace WHERE nspname = 'zulip'`), [], `cut after ${end} bytes`);
      }
    });

    const { stdout: dumped } = await promisify(execFile)('pg_dump', ['--schema-only', `--dbname=${source}`], { maxBuffer: 1e9 });
    if (!/^\\restrict \w+$/m.test(dumped)) t.comment("this pg_dump protects no script");
    else await withEmptyDatabase(async (target) => {
      const made = join(place, 'made');
      // As a server could send them: behind the end of rows, and among the statements of the schema.
      for (const before of ['\nCOPY "zulip"."zerver_realm" ', '\nCOMMIT;\n']) {
        const at = content.indexOf(before);
        writeFileSync(cut, `${content.slice(0, at)}\n\\! touch ${made}\n${content.slice(at)}`, 'latin1');
        await t.rejects(promisify(execFile)('psql', ['--no-psqlrc', '--quiet', `--dbname=${target}`, `--file=${cut}`]), /backslash commands are restricted/);
        t.strictSame([existsSync(made), await query(target, `SELECT FROM pg_namespace WHERE nspname = 'zulip'`)], [false, []], 'no command is executed, and nothing is left');
      }
      await promisify(execFile)('psql', ['--no-psqlrc', '--quiet', `--dbname=${target}`, `--file=${script}`], { maxBuffer: 1e9 });
      t.strictSame(await query(target, 'SELECT count(*)::int AS realms FROM zulip.zerver_realm'), [{ realms: 2 }]);
    });

    // Their place is there, and takes no file.
    const files = join(place, 'files');
    mkdirSync(files);
    for (const area of ['files', 'avatars']) mkdirSync(join(files, area));
    writeFileSync(join(files, 'files', '2'), 'in the way');
    const rowsAlone = join(place, 'files-fail.sql');
    const without = await realmlift(['split', '--realm', 'acme', '--output', rowsAlone, '--uploads-dir', await uploadsDirectory('zulip-11/local'), '--no-avatars', '--files-dir', files], { env: { DATABASE_URL: source, PATH: process.env.PATH ?? '' } });
    t.match(without, { code: 1, stderr: /the rows are complete, the files are not: run again without --target-url and --output/ });
    t.match(readFileSync(rowsAlone, 'latin1').trimEnd().split('\n').slice(-3).join('\n'), /^COMMIT;$/m, 'and so it is');
    t.notOk(readdirSync(place).some((name) => name.endsWith('.partial')));

    const full = join(place, 'full.sql');
    const child = spawn('/bin/sh', ['-c', `ulimit -f 400; exec "$0" "$@"`, process.execPath, CLI, 'split', '--realm', 'acme', '--output', full], { env: { DATABASE_URL: source, PATH: process.env.PATH ?? '' }, stdio: ['ignore', 'ignore', 'pipe'] });
    const [told, [code]] = await Promise.all([text(child.stderr), once(child, 'exit') as Promise<[number]>]);
    t.equal(code, 1);
    t.match(told, /DISK_FULL .*full\.sql/);
    t.notMatch(told, /--resume/);
    t.notOk(readdirSync(place).some((name) => name.startsWith('full.sql')), 'nothing is left');
  });
});

t.test('standard output that ends or is full', NEEDS_PG_DUMP, async (t) => {
  await withTestDatabase('zulip-11/local', async (source) => {
    const piped = async (to: string): Promise<string> => {
      const { stdout, stderr } = await promisify(execFile)('/bin/sh', ['-c', `{ "$0" "$@"; echo "code $?" >&2; } ${to}`, process.execPath, CLI, 'split', '--realm', 'acme', '--quiet', '--output', '-'], { env: { DATABASE_URL: source, PATH: process.env.PATH ?? '' }, maxBuffer: 1e8 });
      return stderr + stdout;
    };
    t.match(await piped('| head -c 100000 >/dev/null'), /^code \d+/, 'a reader that has enough is no fault to tell');
    t.match(await piped('>/dev/full'), /OUTPUT_FULL .*run it again from the start\)\ncode 1/);
  });
});
