import { execFile } from 'node:child_process';
import { chmod, mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { Decrypter, generateX25519Identity, identityToRecipient } from 'age-encryption';
import type { Command } from 'commander';
import t from 'tap';
import { backupCommand } from '../../src/cli/backup-command.js';
import { restoreCommand } from '../../src/cli/restore-command.js';
import type { RealmliftError } from '../../src/errors.js';
import { withEmptyDatabase } from '../testbed/test-database.js';
import { realmlift } from './command-line.js';
import { NEEDS_PG_DUMP, backUp, failure, query, withPlace } from './test-backup.js';

t.setTimeout(180_000);

const run = promisify(execFile);

/** Nobody listens there. */
const NOWHERE = 'postgresql://nobody@127.0.0.1:1/none';

const ROWS = `CREATE TABLE a (n integer, t text); INSERT INTO a SELECT g, md5(g::text) FROM generate_series(1, 5000) g`;

/** How a command refuses its words, without a process of its own. */
function refusal(command: Command, words: readonly string[]): Promise<RealmliftError> {
  return failure(command.exitOverride().configureOutput({ writeErr: () => undefined }).parseAsync(words, { from: 'user' }));
}

t.test('a backup and its restore, by words', NEEDS_PG_DUMP, async (t) => {
  await withEmptyDatabase((source) => withEmptyDatabase((target) => withPlace(async (place) => {
    await query(source, ROWS);
    const second = await generateX25519Identity();
    const recipients = join(place.directory, 'recipients.txt');
    await writeFile(recipients, `# the operator\n${await identityToRecipient(second)}\n\n`);
    const backup = await realmlift(['backup', '--to', place.to, '--recipient', place.recipient, '--recipients', recipients, '--json'], { DATABASE_URL: source });
    t.match(backup, { code: 0, stderr: /^(\{"time":.*"kind":"progress","step":"rows".*\}\n)+$/ });
    t.equal(backup.stdout.trim().split('\n').length, 1);
    const result = JSON.parse(backup.stdout) as { location: string };
    t.match(result, { tables: 1, rows: 5000, proved: false, removed: [] });

    t.match(await realmlift(['verify', place.to]), { code: 0, stderr: '', stdout: /: good \(sizes and checksums; with --identity also the rows\), origin not proved \(no --verify-key\)\n$/ });
    t.match(await realmlift(['verify', result.location, '--identity', place.identityFile]), { code: 0, stderr: '', stdout: /: good \(decrypted: 1 table, 5,000 rows, as at the source\), origin not proved .*\n$/ });
    const restored = await realmlift(['restore', place.to, '--identity', place.identityFile, '--database-url', target]);
    t.match(restored, { code: 0, stderr: '', stdout: /^restored .*: 1 table, 5,000 rows, [\d.]+ s, origin not proved .*\n$/ });
    t.strictSame(await query(target, 'SELECT count(*)::int AS n FROM a'), [{ n: 5000 }]);

    // Each recipient alone opens any part, with nothing but age and gzip.
    const [part = ''] = await readdir(join(result.location, 'rows'));
    const sealed = await readFile(join(result.location, 'rows', part));
    const decrypter = new Decrypter();
    decrypter.addIdentity(second);
    const plain = gunzipSync(await decrypter.decrypt(sealed));
    t.equal(plain.subarray(0, 11).toString('latin1'), 'PGCOPY\n\xff\r\n\0');
    const age = await run('age', ['--decrypt', '--identity', place.identityFile, join(result.location, 'rows', part)], { encoding: 'buffer', maxBuffer: 1e9 })
      .catch((error: NodeJS.ErrnoException) => { if (error.code !== 'ENOENT') throw error; });
    if (age === undefined) t.comment('age is not installed: only its library opened the part');
    else t.ok(plain.equals(gunzipSync(age.stdout)), 'the program age opens it too');
  })));
});

t.test('many tables by many sessions', NEEDS_PG_DUMP, async (t) => {
  await withEmptyDatabase((source) => withPlace(async (place) => {
    await query(source, Array.from({ length: 60 }, (_, n) => `CREATE TABLE t${n} AS SELECT ${n} AS n`).join(';'));
    t.match(await realmlift(['backup', '--to', place.to, '--recipient', place.recipient, '--jobs', '12'], { DATABASE_URL: source }), { code: 0, stderr: '', stdout: /: 60 tables, 60 rows, / });
    t.match(await realmlift(['verify', place.to, '--identity', place.identityFile]), { code: 0, stderr: '', stdout: /decrypted: 60 tables, 60 rows/ });
  }));
});

t.test('under a passphrase', NEEDS_PG_DUMP, async (t) => {
  await withEmptyDatabase((source) => withEmptyDatabase((target) => withPlace(async (place) => {
    await query(source, ROWS);
    const [right, wrong] = [join(place.directory, 'right'), join(place.directory, 'wrong')] as const;
    await writeFile(right, 'correct horse battery staple\n');
    await writeFile(wrong, 'incorrect\n');
    t.match(await realmlift(['backup', '--to', place.to, '--passphrase-file', right], { DATABASE_URL: source }), { code: 0, stdout: /^backup of .*: 1 table, 5,000 rows, .* in 5 parts, / });
    t.match(await refusal(restoreCommand(), [place.to, '--passphrase-file', wrong, '--database-url', target]), { code: 'KEY_WRONG', exit: 1 });
    t.match(await refusal(restoreCommand(), [place.to, '--identity', place.identityFile, '--database-url', target]), { code: 'KEY_WRONG', exit: 1 });
    t.match(await realmlift(['restore', place.to, '--passphrase-file', right, '--database-url', target]), { code: 0 });
  })));
});

t.test('wrong usage', async (t) => {
  await withPlace(async (place) => {
    for (const [words, expected] of [
      [[], { code: 'RECIPIENT_MISSING', exit: 2 }],
      [['--recipient', 'age1wrong'], { code: 'RECIPIENT_INVALID', exit: 2 }],
      [['--recipient', place.recipient, '--passphrase-file', place.identityFile], { code: 'RECIPIENT_INVALID', exit: 2 }],
      [['--recipient', place.recipient], { code: 'SERVER_UNREACHABLE', exit: 1 }],
      [['--recipients', join(place.directory, 'none')], { code: 'KEY_FILE', exit: 2 }],
      [['--recipient', place.recipient, '--compress', '10'], { name: 'CommanderError', message: /0 to 9/ }],
      [['--recipient', place.recipient, '--keep', '0'], { name: 'CommanderError', message: /at least 1/ }],
    ] as const) {
      t.match(await refusal(backupCommand(), ['--to', place.to, '--database-url', NOWHERE, ...words]), expected, words.join(' '));
    }
    t.match(await realmlift(['backup', '--recipient', place.recipient]), { code: 2, stderr: /--to/ });
    const secret = (await readFile(place.identityFile, 'utf8')).split('\n')[1] as string;
    const refused = await realmlift(['backup', '--to', place.to, '--recipient', secret]);
    t.match(refused, { code: 2, stderr: /a secret key was given/ });
    t.notOk(refused.stderr.includes(secret.slice(16, 40)), 'and is not repeated');
    t.match(await refusal(restoreCommand(), [place.directory, '--identity', place.identityFile]), { code: 'BACKUP_MISSING', exit: 1 });
  });
});

t.test('restore asks for a key and a database', NEEDS_PG_DUMP, async (t) => {
  await withEmptyDatabase((source) => withPlace(async (place) => {
    await query(source, ROWS);
    await backUp(source, place);
    t.match(await refusal(restoreCommand(), [place.to, '--database-url', source]), { code: 'KEY_MISSING', exit: 2 });
    t.match(await realmlift(['restore', place.to, '--identity', place.identityFile], { DATABASE_URL: source }), { code: 2, stderr: /DATABASE_URL/ });
  }));
});

t.test('pg_dump: missing, older than the server, failing', NEEDS_PG_DUMP, async (t) => {
  await withEmptyDatabase((source) => withPlace(async (place) => {
    await query(source, ROWS);
    const attempt = async (pgDump: string): Promise<string> => (await failure(backUp(source, place, { pgDump }))).line;
    const programs = join(place.directory, 'programs');
    await mkdir(programs);
    const program = async (name: string, script: string): Promise<string> => {
      await writeFile(join(programs, name), `#!/bin/sh\n${script}\n`);
      await chmod(join(programs, name), 0o755);
      return join(programs, name);
    };
    const missing = await realmlift(['backup', '--to', place.to, '--recipient', place.recipient, '--pg-dump', '/no/such/pg_dump'], { DATABASE_URL: source });
    t.match(missing, { code: 1, stderr: /PG_DUMP_MISSING.*install postgresql-client-\d+/ });
    t.match(await attempt(await program('other', 'echo something else')), /PG_DUMP_MISSING/);
    t.match(await attempt(await program('old', 'echo "pg_dump (PostgreSQL) 11.22"')), /PG_DUMP_OLD.*of PostgreSQL 11, the server of \d+.*install postgresql-client-\d+/);
    const failing = await program('failing', 'case $1 in --version) exec pg_dump --version;; esac\necho "CREATE TABLE half"\necho "pg_dump: error: out of luck" >&2\nexit 1');
    t.match(await attempt(failing), /PG_DUMP_FAILED.*out of luck/);
    t.strictSame(await readdir(place.to), [], 'nothing is left behind');
  }));
});

t.test('a full disk', NEEDS_PG_DUMP, async (t) => {
  await withEmptyDatabase((source) => withPlace(async (place) => {
    await query(source, ROWS);
    // The largest file that the process may write, in units of 512 bytes: the system's answer is that of a full disk in another number.
    const full = await realmlift(['backup', '--to', place.to, '--recipient', place.recipient], { DATABASE_URL: source }, '-f 64');
    t.match(full, { code: 1, stderr: /DISK_FULL/ });
    t.strictSame(await readdir(place.to), [], 'nothing is left behind');

    // What is still being written when the run has failed is refused in the same way, and does not end the process.
    const script = `import { writeSync, openSync } from 'node:fs'; import { withStopSignals } from '${new URL('../../src/cli/stop-signals.js', import.meta.url).href}';
      await withStopSignals(async () => { throw new Error('failed'); }).catch(() => undefined);
      try { const file = openSync(process.argv[1], 'w'); for (;;) writeSync(file, Buffer.alloc(65536)); } catch (error) { console.log(error.code); }`;
    const late = await run('/bin/sh', ['-c', 'ulimit -f 64; exec "$@"', 'sh', process.execPath, '--input-type=module', '--eval', script, join(place.directory, 'late')]);
    t.equal(late.stdout, 'EFBIG\n');
  }));
});

t.test('a place that cannot be written to', NEEDS_PG_DUMP, async (t) => {
  await withEmptyDatabase((source) => withPlace(async (place) => {
    await writeFile(place.to, 'a file');
    t.match(await failure(backUp(source, place)), { code: 'TARGET_UNUSABLE', exit: 1 });
  }));
});
