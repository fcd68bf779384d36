/** What speaks against a load is known before a row is written, and what happens meanwhile ends it with a word. */
import { appendFileSync, cpSync, readFileSync, writeFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import t from 'tap';
import type { RealmliftError } from '../../src/errors.js';
import { DirectoryFiles } from '../../src/load/files/directory-files.js';
import type { PlannedFile } from '../../src/load/files/file-plan.js';
import type { FileTarget } from '../../src/load/files/file-target.js';
import { sampleExport } from '../pipe/sample-export.js';
import { change, withClient } from '../testbed/database-client.js';
import { withEmptyDatabase, withTestDatabase } from '../testbed/test-database.js';
import { loadExport } from '../../src/commands/load.js';
import { checkImport } from '../../src/arrival/import-check.js';
import { connectionSettings } from '../../src/snapshot/connection-settings.js';
import { sign } from '../verify/our-export.js';
import { digests, emptyUploads, filesBelow, load, request, stoppedIn, undo, update } from './new-server.js';

const output = t.testdir();
const [tiny, acme, old] = await Promise.all([
  withTestDatabase('zulip-11/local', async (url) => (await sampleExport(url, { realm: 'tiny', output: join(output, 'new') }))[0] as string),
  withTestDatabase('zulip-11/local', async (url) => (await sampleExport(url, { realm: 'acme', output: join(output, 'large') }))[0] as string),
  withTestDatabase('zulip-8/local', async (url) => (await sampleExport(url, { realm: 'acme', output: join(output, 'old'), dataset: 'zulip-8/local' }))[0] as string),
]);

t.test('nothing is written', async (t) => withTestDatabase('zulip-11/new-server', async (url) => {
  const uploads = emptyUploads();
  const before = await digests(url);
  const refused = async (what: string, expected: { code: string | RegExp; message?: RegExp; hint?: RegExp }, work: () => Promise<unknown>): Promise<void> => {
    t.match(await work().then(() => undefined, (error: unknown) => error), { exit: 3, ...expected }, what);
    t.same(await digests(url), before, `${what}: nothing is there`);
  };
  await refused('another version', { code: 'LOAD_REFUSED', message: /version: the export is of Zulip 8|migrations: / }, () => load(old, url, uploads));
  for (const subdomain of ['www', 'zulipinternal', 'Acme', 'ab', '-acme', 'a'.repeat(41)]) await refused(subdomain, { code: 'LOAD_REFUSED', message: /subdomain: /, hint: /^--subdomain gives it another name; / }, () => load(tiny, url, uploads, { subdomain }));
  await refused('no such directory', { code: /LOAD_REFUSED|UPLOADS_DIR_MISSING/ }, () => load(tiny, url, join(uploads, 'none')));
  await t.rejects(load(acme, url, uploads, { salt: undefined }), { code: 'SALT_MISSING', exit: 2 });
  for (const realmName of ['', 'ä'.repeat(41)]) await t.rejects(load(tiny, url, uploads, { subdomain: 'tiny', realmName }), { code: 'USAGE', message: "a realm's name has 1 to 40 characters", exit: 2 });
  const damaged = join(output, 'damaged');
  cpSync(tiny, damaged, { recursive: true });
  appendFileSync(join(damaged, 'realm.json'), ' ');
  await refused('changed', { code: 'LOAD_REFUSED', message: /manifest: / }, () => load(damaged, url, uploads));
  for (const [what, from, to, message] of [
    ['a number with a fraction', /"digest_weekday":1\b/, '"digest_weekday":1.0', /values: zerver_realm \d+: its digest_weekday is not written as a whole number$/],
    ['U+0000', /"description":"/, '"description":"\\u0000', /values: zerver_\w+ \d+: its description holds a character/],
  ] as const) {
    const file = join(damaged, 'realm.json');
    cpSync(tiny, damaged, { recursive: true });
    writeFileSync(file, readFileSync(file, 'utf8').replace(from, to));
    await sign(damaged);
    await refused(what, { code: 'LOAD_REFUSED', message, hint: /^realmlift import-check shows/ }, () => load(damaged, url, uploads, { subdomain: 'tiny' }));
  }
  t.match(await load(tiny, url, uploads, { subdomain: 'tiny', dryRun: true }), { subdomain: 'tiny' });
  t.same(await digests(url), before, 'a dry run writes nothing');

  const { host, pathname } = new URL(url);
  await withClient(url, (client) => client.query(`DROP ROLE IF EXISTS loader; CREATE ROLE loader LOGIN PASSWORD 'l'; GRANT USAGE ON SCHEMA zulip TO loader; GRANT SELECT ON ALL TABLES IN SCHEMA zulip TO loader; GRANT SELECT ON ALL SEQUENCES IN SCHEMA zulip TO loader`));
  await refused('a role without rights', { code: 'RIGHT_MISSING', hint: /^GRANT SELECT, INSERT, UPDATE, DELETE ON .*zulip\.zerver_message.* TO loader; GRANT SELECT, USAGE ON SEQUENCE .*zulip\.zerver_message_id_seq.* TO loader; GRANT CREATE ON DATABASE/ }, () => load(tiny, `postgresql://loader:l@${host}${pathname}`, uploads, { subdomain: 'tiny' }));
  await withClient(url, (client) => client.query('ALTER SCHEMA zulip RENAME TO "My-Schema"'));
  const elsewhere = await load(tiny, `postgresql://loader:l@${host}${pathname}`, uploads, { subdomain: 'tiny' }).then(() => undefined, (error: unknown) => error);
  await withClient(url, (client) => client.query('ALTER SCHEMA "My-Schema" RENAME TO zulip'));
  t.match(elsewhere, { code: 'RIGHT_MISSING', hint: /^GRANT SELECT, INSERT, UPDATE, DELETE ON .*"My-Schema"\.zerver_message.* TO loader; GRANT SELECT, USAGE ON SEQUENCE .*"My-Schema"\.zerver_message_id_seq/ });
  await withClient(url, (client) => client.query('DROP OWNED BY loader; DROP ROLE loader'));

  await withClient(url, (client) => client.query(`ALTER DATABASE "${pathname.slice(1)}" SET default_transaction_read_only = on`));
  t.match(await load(tiny, url, uploads, { subdomain: 'tiny' }).then(() => undefined, (error: unknown) => error), { code: 'TARGET_READ_ONLY', exit: 3 });
  await withClient(url, (client) => client.query(`SET transaction_read_only = off; ALTER DATABASE "${pathname.slice(1)}" SET default_transaction_read_only = off`));

  await change(url, "UPDATE zerver_userprofile SET delivery_email = 'other@zulip.com' WHERE delivery_email = 'welcome-bot@zulip.com'");
  await t.rejects(load(tiny, url, uploads, { subdomain: 'tiny' }), { code: 'LOAD_REFUSED', message: /system bots/, exit: 3 });
}));

t.test('what the new server demands, and which rights are needed, is known before anything is written', async (t) => withTestDatabase('zulip-11/new-server', async (url) => {
  const uploads = emptyUploads();
  const before = await digests(url);
  for (const table of ['zerver_message', 'zerver_attachment_messages', 'zerver_client', 'zerver_imageattachment']) {
    await change(url, `ALTER TABLE ${table} ADD COLUMN of_a_fork int NOT NULL DEFAULT 0; ALTER TABLE ${table} ALTER COLUMN of_a_fork DROP DEFAULT`);
    await t.rejects(load(acme, url, uploads), { code: 'COLUMN_MISSING', exit: 3, message: new RegExp(`has no ${table}\\.of_a_fork, which the new server demands`) });
    await change(url, `ALTER TABLE ${table} DROP COLUMN of_a_fork`);
  }
  t.same(await digests(url), before);

  await change(url, "DROP ROLE IF EXISTS bearer; CREATE ROLE bearer LOGIN PASSWORD 'b'; GRANT USAGE ON SCHEMA zulip TO bearer; GRANT SELECT ON ALL TABLES IN SCHEMA zulip TO bearer; GRANT SELECT ON ALL SEQUENCES IN SCHEMA zulip TO bearer");
  const { host, pathname } = new URL(url);
  const bearer = `postgresql://bearer:b@${host}${pathname}`;
  const { hint = '' } = await load(acme, bearer, uploads).then(() => ({ hint: undefined }), (error: unknown) => error as RealmliftError);
  await change(url, hint.replace(/; or load as .*/, ''));
  await t.rejects(stoppedIn('statistics', (stop) => loadExport(acme, request(bearer, uploads), stop)));
  await undo(bearer, uploads);
  t.same(await digests(url), before);
  await load(acme, bearer, uploads);
  await change(url, 'DROP OWNED BY bearer CASCADE; DROP ROLE bearer');
}));

t.test('what happens meanwhile', async (t) => withTestDatabase('zulip-11/new-server', async (url) => {
  const uploads = emptyUploads();
  const before = await digests(url);
  await t.test('the connection is lost', async (t) => {
    const ended = load(acme, url, uploads).then(() => undefined, (error: unknown) => error as RealmliftError);
    await withClient(url, async (client) => {
      for (let cut = 0; cut === 0;) {
        const { rowCount } = await client.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'realmlift load' AND query LIKE 'COPY%'");
        cut = rowCount ?? 0;
      }
    });
    t.match(await ended, { code: 'CONNECTION_LOST', exit: 1, hint: /--resume goes on, --undo removes/ });
    await t.rejects(load(acme, url, uploads), { code: 'LOAD_UNFINISHED' });
  });
  await t.test('another export, another name', async (t) => {
    await t.rejects(load(tiny, url, uploads, { resume: true }), { code: 'LOAD_OF_ANOTHER', message: /another export/ });
    await t.rejects(load(acme, url, uploads, { resume: true, realmName: 'Other' }), { code: 'LOAD_OF_ANOTHER', message: /a realm named "acme"/ });
    await t.rejects(load(acme, url, emptyUploads(), { resume: true }), { code: 'LOAD_OF_ANOTHER', message: /files that go to/ });
  });
  await t.test('somebody migrates the server', async (t) => {
    await change(url, "INSERT INTO django_migrations (app, name, applied) VALUES ('zerver', '9999_meanwhile', now())");
    await t.rejects(load(acme, url, uploads, { resume: true }), { code: 'LOAD_REFUSED', message: /migrations: / });
    t.ok((await undo(url, uploads)).rows >= 0);
    await change(url, "DELETE FROM django_migrations WHERE name = '9999_meanwhile'");
    t.same(await digests(url), before);
  });
  await t.test('a file of the export changes behind its check', async (t) => {
    const copy = join(output, 'later');
    cpSync(acme, copy, { recursive: true });
    await t.rejects(stoppedIn('uploaded files', (stop) => loadExport(copy, request(url, uploads), stop)));
    const manifest = JSON.parse(readFileSync(join(copy, 'manifest.json'), 'utf8')) as { files: { path: string; sha256: string; size: number }[] };
    const upload = manifest.files.find(({ path }) => path.startsWith('uploads/') && !path.endsWith('.json')) as { path: string; sha256: string; size: number };
    const bytes = readFileSync(join(copy, upload.path));
    bytes[0] = (bytes[0] as number) ^ 1;
    writeFileSync(join(copy, upload.path), bytes);
    t.not(createHash('sha256').update(bytes).digest('hex'), upload.sha256);
    await t.rejects(load(copy, url, uploads, { resume: true }), { code: 'LOAD_REFUSED', exit: 3 });
    await undo(url, uploads);
    t.same(await digests(url), before);
  });
}));

t.test('what fails is told as what it is: a file of the export that cannot be read, and a place that cannot', async (t) => {
  const uploads = emptyUploads();
  const target: FileTarget = new DirectoryFiles(uploads);
  const file: PlannedFile = { path: 'uploads/2/a', size: 1, sha256: '', area: 'files', key: '2/a', oldKey: undefined, attributes: { contentType: '', metadata: {} }, modified: undefined, image: undefined };
  const never = new AbortController().signal;
  // It can be opened.
  await t.rejects(target.put(file, output, never), { code: 'EXPORT_CHANGED', message: /uploads\/2\/a .*EISDIR/ });
  await t.rejects(target.put(file, join(output, 'none'), never), { code: 'EXPORT_CHANGED', message: /uploads\/2\/a .*ENOENT/ });
  t.same(filesBelow(uploads), []);
  t.equal(await target.has('avatars', '2/', never), false, 'what is not there is empty');
  writeFileSync(join(uploads, 'avatars'), '');
  await t.rejects(target.has('avatars', '2/', never), { code: 'UPLOADS_DIR_UNWRITABLE', message: /ENOTDIR/ });
  await t.rejects(target.put({ ...file, area: 'avatars' }, join(tiny, 'realm.json'), never), { code: 'OUTPUT_UNSAFE' });
});

t.test('a database that is not Zulip\'s', async (t) => withEmptyDatabase(async (url) => {
  await t.rejects(load(tiny, url, emptyUploads()), { code: 'NOT_ZULIP', message: /^the new server: this database has no table zerver_realm/, hint: 'check --target-url' });
}));

t.test('a load that was not finished', async (t) => withTestDatabase('zulip-11/new-server', async (url) => {
  await t.rejects(stoppedIn('all other rows', (stop) => loadExport(acme, request(url, emptyUploads()), stop)));
  const told = /^the load of acme is unfinished: go on with it by realmlift load --resume, or remove it by --undo$/;
  for (const [subdomain, ...names] of [['acme', 'subdomain', 'realm'], ['other', 'realm']] as const) {
    const checks = await checkImport(acme, { target: connectionSettings(url, {}), subdomain, allowReserved: true, uploadsDir: undefined });
    for (const name of names) t.match(checks.find((check) => check.name === name), { outcome: 'failed', what: told }, `${subdomain}: ${name}`);
  }
}));

t.test('another load has left the tables bare', async (t) => withTestDatabase('zulip-11/new-server', async (url) => {
  const uploads = emptyUploads();
  const before = await digests(url);
  await t.rejects(stoppedIn('all other rows', (stop) => loadExport(acme, request(url, uploads, { indexesLaterFrom: 0 }), stop)));
  const refusal = { code: 'LOAD_REFUSED', exit: 3, message: /indexes: the load of acme is unfinished .* --resume, .* --undo/ };
  await t.rejects(load(tiny, url, uploads, { subdomain: 'tiny' }), refusal);
  const indexes = async (subdomain: string): Promise<unknown> => (await checkImport(tiny, { target: connectionSettings(url, {}), subdomain, uploadsDir: undefined })).find(({ name }) => name === 'indexes');
  t.match(await indexes('tiny'), { outcome: 'failed' });
  const { host, pathname } = new URL(url);
  await change(url, "CREATE ROLE reader LOGIN PASSWORD 'r'; GRANT USAGE ON SCHEMA zulip TO reader; GRANT SELECT ON ALL TABLES IN SCHEMA zulip TO reader; GRANT SELECT ON ALL SEQUENCES IN SCHEMA zulip TO reader");
  const reader = connectionSettings(`postgresql://reader:r@${host}${pathname}`, {});
  t.match((await checkImport(tiny, { target: reader, subdomain: 'tiny', uploadsDir: undefined })).find(({ name }) => name === 'indexes'), { outcome: 'failed' }, 'a role that may not look into the journal');
  await change(url, 'DROP OWNED BY reader; DROP ROLE reader');
  await undo(url, uploads);
  t.same(await digests(url), before);

  await t.test('as a server with a realm is left by a load that was not refused', async (t) => {
    await load(tiny, url, uploads, { subdomain: 'tiny' });
    await change(url, 'CREATE SCHEMA realmlift_load_acme; CREATE TABLE realmlift_load_acme.later ()');
    await withTestDatabase('zulip-11/local', async (source) => {
      await change(source, "UPDATE zerver_realm SET description = 'later' WHERE string_id = 'tiny'");
      await t.rejects(update((await sampleExport(source, { realm: 'tiny', output: join(output, 'later-tiny') }))[0] as string, url, uploads, { subdomain: 'tiny', base: tiny }), refusal);
    });
    await change(url, 'DROP TABLE realmlift_load_acme.later');
    t.match(await indexes('other'), { outcome: 'good' });
  });
}));

t.test('two loads that begin together on an empty server', async (t) => withTestDatabase('zulip-11/new-server', async (url) => {
  const uploads = emptyUploads();
  const before = await digests(url);
  const choices = { resume: true, indexesLaterFrom: 0 };
  const begun = await Promise.allSettled([load(acme, url, uploads, choices), load(tiny, url, uploads, { ...choices, subdomain: 'tiny' })]);
  // Who comes when the tables are bare already is refused.
  for (const each of begun) if (each.status === 'rejected') t.match(each.reason, { code: 'LOAD_REFUSED', message: /indexes: the load of / });
  t.ok(begun.some(({ status }) => status === 'fulfilled'));
  t.equal((await digests(url)).schema, before['schema']);
}));
