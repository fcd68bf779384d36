// What people get wrong: each ends with one clear line, the exit code that the help documents, and nothing at the final path.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { change } from '../testbed/database-client.js';
import { uploadsDirectory } from '../testbed/expected-export.js';
import { freePort } from '../../src/demo/postgres-server.js';
import { startS3 } from '../testbed/s3-server.js';
import { CLI } from '../testbed/tested-cli.js';
import { AVATAR_SALT } from '../testbed/test-data.js';
import { withEmptyDatabase, withTestDatabase } from '../testbed/test-database.js';
import { realmliftHere } from './command-here.js';
import { realmlift, type Ended } from './command-line.js';

const SALT = AVATAR_SALT['zulip-11/local'];
const SECRET = 'wrong-p4ssword';

interface Expected {
  readonly exit: number;
  /** The whole line, but for what differs from run to run. */
  readonly line: RegExp;
}

/** One line of ours, no trace of code, no secret, nothing published. */
function ended(t: Test, { code, signal, stdout, stderr, errors }: Ended, { exit, line }: Expected, output?: string): void {
  t.equal(signal, null);
  t.equal(code, exit, stderr);
  t.equal(errors.length, 1, `one line: ${stderr}`);
  t.match(stderr, line);
  t.equal(stdout, '');
  t.notMatch(stderr, /^ +at |\.js:\d+|node:internal|\[object |undefined/m, 'no stack trace');
  t.notMatch(stderr, SECRET);
  t.notMatch(stderr, SALT);
  if (output !== undefined) t.notOk(existsSync(join(output, 'acme')), 'nothing at the final path');
}

/** The URL as another role. */
function as(url: string, role: string, password: string): string {
  const other = new URL(url);
  other.username = role;
  other.password = password;
  return other.href;
}

const ACME = ['export', '--realm', 'acme'];

t.test('words that mean nothing', async (t) => {
  const nowhere = { env: { DATABASE_URL: 'postgresql://nobody@127.0.0.1:1/none' } };
  const directory = t.testdir({ empty: '', columns: 'name,team\nAnn,red\n', broken: '{', secrets: '[secrets]\nother = 1\n', link: {}, out: { acme: { 'realm.json': '{}' }, tiny: { 'realm.json': '{}' }, 'lost.partial': {} } });
  const at = (name: string): string => join(directory, name);
  const cases: readonly (readonly [words: readonly string[], line: RegExp, env?: Record<string, string>])[] = [
    [['exprot'], /^realmlift: USAGE \[usage\]: unknown command 'exprot'.*export.*--help/],
    [['help', 'exprot'], /^realmlift: USAGE \[usage\]: unknown command 'exprot'.*export.*--help/],
    [['export', '--relm', 'acme'], /^realmlift: USAGE \[usage\]: unknown option '--relm'.*--realm/],
    [['export', '--realm'], /^realmlift: USAGE \[usage\]: option '--realm <name>' argument missing/],
    [['export', 'acme'], /^realmlift: USAGE \[usage\]: too many arguments/],
    [['export', '--uploads-dir', directory], /^realmlift: REALM_MISSING \[usage\]: it is not said what to export \(--realm NAME/],
    [[...ACME, '--mode', 'half'], /^realmlift: USAGE \[usage\]: .*--mode.*full, consent, public/],
    [[...ACME, '--jobs', '0'], /^realmlift: USAGE \[usage\]: .*--jobs.* is invalid: a whole number of at least 1 is needed \(/],
    [[...ACME, '--jobs', '99999999999'], /^realmlift: USAGE \[usage\]: .*--jobs.* is invalid: at most 256 are possible \(/],
    [[...ACME, '--json', '--jobs', '0'], /^\{"time":"[^"]*","kind":"failed","code":"USAGE"/],
    [[...ACME, '--jobs', 'two'], /^realmlift: USAGE \[usage\]: .*--jobs/],
    [ACME, /^realmlift: FILES_UNKNOWN \[usage\]: it is not said where the uploaded files are \(give --uploads-dir/],
    [[...ACME, '--uploads-dir', directory, '--remap', '--id-base', '1000', '--orphans', 'copy'], /^realmlift: ORPHANS_REMAPPED \[usage\]: /],
    [['export', '--all-realms', '--realm', 'acme', '--uploads-dir', directory], /^realmlift: USAGE \[usage\]: option '--all-realms' cannot be used with option '--realm <name>'/],
    [['export', '--all-realms', '--realms', at('empty'), '--uploads-dir', directory], /^realmlift: USAGE \[usage\]: option '--all-realms' cannot be used with option '--realms <file>'/],
    [[...ACME, '--exclude', 'acme', '--uploads-dir', directory], /^realmlift: USAGE \[usage\]: --exclude leaves out a realm that --realm names/],
    [[...ACME, '--users', at('empty'), '--mode', 'public', '--uploads-dir', directory], /^realmlift: USAGE \[usage\]: --users makes a consent export/],
    [['plan', '--users', at('empty'), '--mode', 'public'], /^realmlift: USAGE \[usage\]: --users makes a consent export/],
    [['plan', '--consent-message', '1'], /^realmlift: USAGE \[usage\]: --consent-message says who consented/],
    [['split', '--realm', 'acme', '--output', at('script'), '--users', at('empty'), '--mode', 'full'], /^realmlift: USAGE \[usage\]: --users makes a consent split/],
    [[...ACME, '--files', 'all', '--uploads-dir', directory], /^realmlift: USAGE \[usage\]: --files says whose files travel/],
    [[...ACME, '--consent-message', '1', '--uploads-dir', directory], /^realmlift: USAGE \[usage\]: --consent-message says who consented/],
    [[...ACME, '--output', 'S3://exports/x', '--uploads-dir', directory], /^realmlift: UPLOAD_URL \[usage\]: S3:\/\/exports\/x names no bucket/],
    [[...ACME, '--output', 's3:/exports', '--uploads-dir', directory], /^realmlift: UPLOAD_URL \[usage\]: s3:\/exports names no bucket/],
    [[...ACME, '--output', '-', '--tarball', '--uploads-dir', directory], /^realmlift: USAGE \[usage\]: what goes to standard output is a tar already/],
    [[...ACME, '--output', '-', '--resume', '--uploads-dir', directory], /^realmlift: USAGE \[usage\]: what went to standard output cannot be gone on with/],
    [[...ACME, '--files-dir', directory, '--uploads-dir', directory], /^realmlift: USAGE \[usage\]: --files-dir takes the files/],
    [['export', '--realms', at('none'), '--uploads-dir', directory], /^realmlift: REALMS_FILE \[usage\]: .*none cannot be read: there is no such file or directory \(ENOENT\)/],
    [['export', '--realms', at('empty'), '--uploads-dir', directory], /^realmlift: REALM_MISSING \[usage\]/],
    [[...ACME, '--users', at('none'), '--uploads-dir', directory], /^realmlift: USERS_FILE \[usage\]: .*none cannot be read: there is no such file or directory \(ENOENT\)/],
    [[...ACME, '--users', at('columns'), '--uploads-dir', directory], /^realmlift: USERS_FILE \[usage\]: .*columns is CSV without a column email or id: its header has "name", "team" \(name one of its columns email, /],
    [[...ACME, '--users', directory, '--uploads-dir', directory], /^realmlift: USERS_FILE \[usage\]: .* cannot be read: it is a directory \(EISDIR\)/],
    [['plan', '--realms', at('empty')], /^realmlift: REALM_MISSING \[usage\]: .*empty names no realm/],
    [[...ACME, '--users', at('empty'), '--uploads-dir', directory], /^realmlift: USERS_FILE \[usage\]: .*empty names nobody/],
    [[...ACME, '--zulip-secrets', at('none'), '--uploads-dir', directory], /^realmlift: SECRETS_FILE \[usage\]: .*none/],
    [[...ACME, '--zulip-secrets', at('secrets'), '--uploads-dir', directory], /^realmlift: SECRETS_FILE \[usage\]: .*avatar_salt/],
    [['export-user', '--realm', 'acme', '--uploads-dir', directory], /^realmlift: USER_MISSING \[usage\]: it is not said whom to export/],
    [[...ACME, '--worker-timeout', '5s', '--uploads-dir', directory], /^realmlift: USAGE \[usage\]: --worker-timeout is for the workers of a queue/],
    [[...ACME, '--output', '', '--uploads-dir', directory], /^realmlift: USAGE \[usage\]: --output is empty \(is a variable of the shell not set\?/],
    [['export', '--realms', '', '--uploads-dir', directory], /^realmlift: USAGE \[usage\]: --realms is empty/],
    [['report', ''], /^realmlift: USAGE \[usage\]: the directory is empty/],
    [['merge', directory, '', '--output', at('merged')], /^realmlift: USAGE \[usage\]: the directory is empty/],
    [['remap', directory, '--output', at('moved'), '--bots-only', '--id-base', '5'], /^realmlift: USAGE \[usage\]: --id-base says where the new ids of all rows begin, and --bots-only gives none/],
    [['split', '--realm', 'acme', '--output', at('script'), '--uploads-dir', directory], /^realmlift: USAGE \[usage\]: --uploads-dir is about uploaded files, and none are asked for/],
    [['backup', '--to', at('kept'), '--recipient', 'age1', '--worker-timeout', '5s'], /^realmlift: USAGE \[usage\]: --worker-timeout is for/],
    [['verify', directory, '--identity', at('secrets')], /^realmlift: USAGE \[usage\]: --identity opens backups, and .* is none/],
    [['verify', at('secrets')], /^realmlift: EXPORT_MISSING \[verify\]: .*secrets is not a directory \(give the directory of an export, unpacked\)/],
    [['verify', join(directory, 'out', 'acme', 'realm.json')], /^realmlift: EXPORT_MISSING \[verify\]: .*realm\.json is not a directory \(name the export that it is a file of: .*\/out\/acme\)/],
    ...[['verify'], ['report'], ['pipe'], ['import-check'], ['remap', '--output', at('moved'), '--id-base', '5'], ['merge', '--output', at('merged')]].map(([command = '', ...more]): [string[], RegExp] => (
      [[command, join(directory, 'out'), ...more], /^realmlift: NOT_AN_EXPORT \[usage\]: .*\/out is no export, but holds 2 \(name one: .*\/out\/acme, .*\/out\/tiny\)/])),
    [['verify'], /^realmlift: USAGE \[usage\]: missing required argument 'directory'/],
    [['verify', at('none')], /^realmlift: EXPORT_MISSING \[verify\]: .*none/],
    [[...ACME, '--uploads-dir', directory], /^realmlift: CONNECTION_STRING \[(usage|snapshot)\]/, { DATABASE_URL: 'mysql://x' }],
    [[...ACME, '--uploads-dir', directory], /^realmlift: [A-Z_]+ \[(usage|snapshot)\]: .*sslmode is one of/, { PGSSLMODE: 'always', DATABASE_URL: '' }],
    [[...ACME, '--uploads-dir', directory], /^realmlift: [A-Z_]+ \[(usage|snapshot)\]: .*nowhere/, { PGSERVICE: 'nowhere', DATABASE_URL: '' }],
  ];
  for (const [index, [words, line, env = {}]] of cases.entries()) {
    await t.test(`${words.join(' ').replaceAll(directory, '')} ${Object.keys(env).join(' ')}`, async (t) => {
      const all = { ...nowhere.env, ...env };
      // Every tenth in a process of its own, of which all that it writes is seen.
      ended(t, index % 10 === 0 ? await realmlift(words, { env: all }) : await realmliftHere(words, all), { exit: 2, line });
    });
  }
});

t.test('a name that is not UTF-8', (t) => {
  const { stderr, status } = spawnSync('sh', ['-c', 'exec "$0" "$1" export --realm acme --output "$(printf "x\\377")"', process.execPath, CLI], { encoding: 'utf8', cwd: t.testdir() });
  t.match({ status, stderr }, { status: 2, stderr: /^realmlift: USAGE \[usage\]: --output is no valid UTF-8, and would become another name/ });
  t.end();
});

t.test('servers that are not there, or not ours', async (t) => {
  const directory = t.testdir({ uploads: { files: {} } });
  const words = [...ACME, '--output', join(directory, 'out'), '--uploads-dir', join(directory, 'uploads'), '--no-avatars'];
  const run = (url: string): Promise<Ended> => realmliftHere(words, { DATABASE_URL: url });
  const out = join(directory, 'out');

  ended(t, await realmlift(words, { env: { DATABASE_URL: `postgresql://zulip:${SECRET}@127.0.0.1:${await freePort()}/zulip` } }), { exit: 1, line: /^realmlift: SERVER_UNREACHABLE \[snapshot\]: cannot connect to .*ECONNREFUSED.*\(check DATABASE_URL/ }, out);
  ended(t, await run(`postgresql://zulip:${SECRET}@no-such-host.invalid/zulip`), { exit: 1, line: /^realmlift: SERVER_UNREACHABLE \[snapshot\]: cannot connect to .*no-such-host\.invalid/ }, out);
  ended(t, await run('postgresql:///zulip?host=/no/such/socket'), { exit: 1, line: /^realmlift: SERVER_UNREACHABLE \[snapshot\]: cannot connect to / }, out);
  ended(t, await realmliftHere(words, { PGPORT: String(await freePort()) }), { exit: 2, line: /^realmlift: DATABASE_UNNAMED \[usage\]: no database is named, and the default cannot be reached: .*\(set DATABASE_URL=/ }, out);
  await withEmptyDatabase(async (url) => {
    ended(t, await run(url), { exit: 3, line: /^realmlift: NOT_ZULIP \[plan\]: this database has no table zerver_realm: it is not a Zulip database \(check the database name/ }, out);
    ended(t, await run(as(url, 'postgres', SECRET)), { exit: 1, line: /^realmlift: LOGIN_REFUSED \[snapshot\]: the server refused the login of postgres@.*check the user, the password/ }, out);
    ended(t, await run(as(url, 'postgres', '')), { exit: 1, line: /^realmlift: LOGIN_REFUSED \[snapshot\]: the server asks .* for a password and none was given/ }, out);
    ended(t, await run(`${url}_none`), { exit: 1, line: /^realmlift: DATABASE_UNKNOWN \[snapshot\]: no such database: / }, out);
    await change(url, 'CREATE SCHEMA zulip', 'CREATE TABLE zulip.zerver_realm (id int, string_id text)');
    const part = /^realmlift: NOT_ZULIP \[plan\]: this is not a whole Zulip database: its schema zulip has no table zerver_client, zerver_message, zerver_recipient, zerver_stream, zerver_subscription, zerver_usermessage, zerver_userprofile \(check /;
    const env = { DATABASE_URL: url };
    ended(t, await run(url), { exit: 3, line: part }, out);
    for (const command of [['plan'], ['snapshot'], ['install'], ['export-user', '--user', 'ann@acme.example', ...words.slice(3)], ['split', '--realm', 'acme', '--output', join(directory, 'script')]]) {
      ended(t, await realmliftHere(command, env), { exit: 3, line: part });
    }
    await change(url, ...['client', 'message', 'recipient', 'stream', 'subscription', 'usermessage', 'userprofile'].map((name) => `CREATE TABLE zulip.zerver_${name} (id int)`));
    ended(t, await run(url), { exit: 3, line: /^realmlift: NOT_ZULIP \[plan\]: this is not a Zulip database: no table django_migrations / }, out);
    await change(url, 'CREATE TABLE zulip.django_migrations (id int)');
    ended(t, await run(url), { exit: 3, line: /^realmlift: NOT_ZULIP \[plan\]: this is not a Zulip database: the table django_migrations in the schema zulip is none of Django's / }, out);
  });
});

t.test('a Zulip server', async (t) => {
  const directory = t.testdir({ uploads: { files: {} }, other: {}, full: { acme: { kept: 'x' } }, broken: '{"a": ', empty: {} });
  const out = join(directory, 'out');
  const uploads = await uploadsDirectory('zulip-11/local');
  await withTestDatabase('zulip-11/local', async (url) => {
    const run = (words: readonly string[], env: Record<string, string> = {}, files = uploads): Promise<Ended> =>
      realmliftHere([...words, ...(words.includes('--output') ? [] : ['--output', out]), '--uploads-dir', files], { DATABASE_URL: url, ZULIP_AVATAR_SALT: SALT, ...env });

    await t.test('unknown realms', async (t) => {
      ended(t, await run(['export', '--realm', 'acne']), { exit: 3, line: /^realmlift: REALM_UNKNOWN \[plan\]: no realm has the subdomain "acne" \(close names: acme\)/ }, out);
      ended(t, await run(['export', '--realm', 'nothing-like-it']), { exit: 3, line: /^realmlift: REALM_UNKNOWN \[plan\]: no realm has the subdomain "nothing-like-it" \(realmlift plan lists the 4 that there are\)/ }, out);
      ended(t, await run([...ACME, '--realm', 'nada']), { exit: 3, line: /^realmlift: REALM_UNKNOWN \[plan\]: no realm has the subdomain "nada"/ }, out);
      ended(t, await run(['export', '--all-realms', '--exclude', 'acne']), { exit: 3, line: /^realmlift: REALM_UNKNOWN \[plan\]: .*"acne"/ }, out);
      ended(t, await run(['export-user', '--realm', 'acme', '--user', 'nobody@acme.example']), { exit: 3, line: /^realmlift: USERS_UNKNOWN \[plan\]: .*nobody@acme\.example \(unknown\)/ }, out);
      ended(t, await run(['export-user', '--realm', 'globex', '--user', 'owner@acme.example']), { exit: 3, line: /^realmlift: USERS_UNKNOWN \[plan\]: .*owner@acme\.example \(of another realm: acme\)/ }, out);
    });

    await t.test('what is asked for cannot be', async (t) => {
      ended(t, await run(ACME, { ZULIP_AVATAR_SALT: '' }), { exit: 2, line: /^realmlift: SALT_MISSING \[plan\]: .*avatar_salt.*--zulip-secrets.*--no-avatars/ }, out);
      ended(t, await run(ACME, { ZULIP_AVATAR_SALT: 'of another server' }), { exit: 2, line: /^realmlift: AVATAR_SALT_WRONG \[plan\]: none of the realm's \d+ uploaded avatars is found .*--zulip-secrets.*--no-avatars/ }, out);
      ended(t, await run([...ACME, '--strip', 'zerver_stream.nothing']), { exit: 2, line: /^realmlift: COLUMN_UNKNOWN \[plan\]: .*zerver_stream\.nothing/ }, out);
      ended(t, await run([...ACME, '--keep', 'token']), { exit: 2, line: /^realmlift: COLUMN_UNKNOWN \[plan\]: .*TABLE\.COLUMN/ }, out);
      ended(t, await run([...ACME, '--strip', 'zerver_stream.id']), { exit: 2, line: /^realmlift: COLUMN_NEEDED \[plan, zerver_stream\]: .*id/ }, out);
      ended(t, await run([...ACME, '--zulip-version', 'new']), { exit: 2, line: /^realmlift: ZULIP_VERSION \[usage\]: / }, out);
      ended(t, await run([...ACME, '--zulip-dir', join(directory, 'empty')]), { exit: 2, line: /^realmlift: ZULIP_DIR \[plan\]: / }, out);
      ended(t, await run([...ACME, '--migration-status', join(directory, 'none')]), { exit: 2, line: /^realmlift: MIGRATION_STATUS[A-Z_]* \[\w+\]: .*none/ }, out);
      ended(t, await run([...ACME, '--migration-status', join(directory, 'broken')]), { exit: 2, line: /^realmlift: MIGRATION_STATUS[A-Z_]* \[\w+\]: .*broken/ }, out);
    });

    await t.test('directories', async (t) => {
      ended(t, await run(ACME, {}, join(directory, 'none')), { exit: 1, line: /^realmlift: UPLOADS_DIR_MISSING \[files\]: there is no uploads directory .*none \(give Zulip's LOCAL_UPLOADS_DIR/ }, out);
      ended(t, await run(ACME, {}, join(directory, 'other')), { exit: 1, line: /^realmlift: UPLOADS_DIR_MISSING \[files\]: .*other has neither files\/ nor avatars\// }, out);
      const full = join(directory, 'full');
      ended(t, await run([...ACME, '--output', full]), { exit: 1, line: /^realmlift: OUTPUT_EXISTS \[package\]: .*acme is not empty \(move it away/ });
      t.equal(readFileSync(join(full, 'acme', 'kept'), 'utf8'), 'x', 'what was there is left alone');
      t.notOk(existsSync(join(full, 'acme.partial')));

      for (const name of ['manifest.json', 'report.html']) {
        const taken = join(directory, `taken-by-${name}`);
        mkdirSync(join(taken, name), { recursive: true });
        ended(t, await run([...ACME, '--realm', 'tiny', '--output', taken]), { exit: 1, line: new RegExp(`^realmlift: OUTPUT_EXISTS \\[package\\]: .*${name} is a directory \\(move it away`) }, taken);
      }
      for (const name of ['acme.tar.gz', 'acme.tar.gz.sha256']) {
        const taken = join(directory, `taken-by-${name}`);
        mkdirSync(taken);
        writeFileSync(join(taken, name), 'x');
        ended(t, await run([...ACME, '--tarball', '--output', taken]), { exit: 1, line: /^realmlift: OUTPUT_EXISTS \[package\]: .*acme\.tar\.gz\S* is there already \(move it away/ }, taken);
        t.equal(readFileSync(join(taken, name), 'utf8'), 'x', 'what was there is left alone');
        t.match(await run([...ACME, '--tarball', '--output', taken, '--resume', '--quiet']), { code: 0, stderr: '' }, 'a run that is gone on with replaces it');
      }
    });

    await t.test('rights', async (t) => {
      // A name that SQL wants quoted.
      const role = `reader-${process.pid}`;
      const quoted = `"${role}"`;
      const reader = (words: readonly string[]): Promise<Ended> => run(words, { DATABASE_URL: as(url, role, SECRET) });
      await change(url, `CREATE ROLE ${quoted} LOGIN PASSWORD '${SECRET}'`);
      try {
        const grant = new RegExp(`\\(GRANT USAGE ON SCHEMA zulip TO ${quoted}; GRANT SELECT ON zulip\\.\\w+(, zulip\\.\\w+){20,} TO ${quoted}; or run realmlift install\\)\\n$`);
        const nothing = await reader(ACME);
        ended(t, nothing, { exit: 1, line: new RegExp(`^realmlift: RIGHT_MISSING \\[plan, \\w+\\]: ${role} may not read \\d+ tables that an export reads, \\w+ among them `) }, out);
        t.match(nothing.stderr, grant);

        await change(url, `GRANT USAGE ON SCHEMA zulip TO ${quoted}`, `GRANT SELECT ON ALL TABLES IN SCHEMA zulip TO ${quoted}`, `REVOKE SELECT ON zerver_message FROM ${quoted}`);
        const message = await reader(ACME);
        ended(t, message, { exit: 1, line: new RegExp(`^realmlift: RIGHT_MISSING \\[plan, zerver_message\\]: ${role} may not read zulip\\.zerver_message `) }, out);
        t.match(message.stderr, `GRANT SELECT ON zulip.zerver_message TO ${quoted}`);

        await change(url, `GRANT SELECT (id, realm_id) ON zerver_message TO ${quoted}`);
        ended(t, await reader(ACME), { exit: 1, line: /^realmlift: RIGHT_MISSING \[\w+, zerver_message\]: .*GRANT SELECT ON zulip\.zerver_message TO "/ }, out);

        await change(url, `GRANT SELECT ON ALL TABLES IN SCHEMA zulip TO ${quoted}`, `REVOKE USAGE ON SCHEMA zulip FROM ${quoted}`);
        ended(t, await reader(ACME), { exit: 1, line: new RegExp(`^realmlift: RIGHT_MISSING \\[plan[^\\]]*\\]: .*GRANT USAGE ON SCHEMA zulip TO ${quoted}`) }, out);

        await change(url, `GRANT USAGE ON SCHEMA zulip TO ${quoted}`, `REVOKE SELECT ON django_migrations FROM ${quoted}`);
        ended(t, await reader(ACME), { exit: 1, line: /^realmlift: RIGHT_MISSING \[plan, django_migrations\]: .*GRANT SELECT ON zulip\.django_migrations TO "/ }, out);

        await change(url, `GRANT SELECT ON django_migrations TO ${quoted}`, 'ALTER TABLE zerver_message ENABLE ROW LEVEL SECURITY', 'CREATE POLICY later ON zerver_message USING (id > 5)');
        ended(t, await reader(ACME), { exit: 1, line: new RegExp(`^realmlift: RIGHT_MISSING \\[plan, zerver_message\\]: a row-level security policy hides rows of zerver_message from ${role} \\(ALTER ROLE ${quoted} BYPASSRLS`) }, out);
        ended(t, await realmlift(['install'], { env: { DATABASE_URL: as(url, role, SECRET) } }), { exit: 1, line: /^realmlift: INSTALL_REFUSED \[plan\]: .*superuser/ });
      } finally {
        await change(url, `DROP OWNED BY ${quoted} CASCADE`, `DROP ROLE ${quoted}`);
      }
    });
  });
});

t.test('buckets', async (t) => {
  const out = join(t.testdir({}), 'out');
  const server = await startS3();
  try {
    await withTestDatabase('zulip-11/s3', async (url) => {
      const run = (env: Record<string, string>): Promise<Ended> =>
        realmliftHere([...ACME, '--output', out], { DATABASE_URL: url, ZULIP_AVATAR_SALT: SALT, ...server.environment, ...env });
      ended(t, await run({ S3_UPLOADS_BUCKET: 'no-such-bucket' }), { exit: 1, line: /^realmlift: BUCKET_MISSING \[files\]: .*no-such-bucket/ }, out);
      ended(t, await run({ S3_AVATARS_BUCKET: 'no-such-bucket' }), { exit: 1, line: /^realmlift: BUCKET_MISSING \[files\]: .*no-such-bucket/ }, out);
      ended(t, await run({ AWS_ACCESS_KEY_ID: 'STRANGER', AWS_SECRET_ACCESS_KEY: SECRET }), { exit: 1, line: /^realmlift: S3_CREDENTIALS_REFUSED \[files\]: S3 refuses the credentials/ }, out);
      ended(t, await run({ S3_ENDPOINT: `http://127.0.0.1:${await freePort()}` }), { exit: 1, line: /^realmlift: \w+ \[files\]: .*(ECONNREFUSED|connect)/ }, out);
    });
  } finally {
    await server.stop();
  }
});

t.test('--debug adds where, and still no secret', async (t) => {
  const { code, stderr } = await realmlift([...ACME, '--debug', '--uploads-dir', t.testdir({ files: {} })], { env: { DATABASE_URL: `postgresql://zulip:${SECRET}@127.0.0.1:${await freePort()}/zulip` } });
  t.equal(code, 1);
  t.match(stderr, /^realmlift: SERVER_UNREACHABLE /);
  t.match(stderr, /\n +at .*connect/);
  t.notMatch(stderr, SECRET);
});
