// What the base of an export may be, and what it may not: transactions under way, damage, kills, files, and bases that do not fit.
import { spawnSync } from 'node:child_process';
import { appendFileSync, cpSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DeleteObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import pg from 'pg';
import t, { type Test } from 'tap';
import { openLocalStore } from '../../src/files/local-store.js';
import { openS3Store } from '../../src/files/s3/s3-store.js';
import type { CheckedBefore } from '../../src/verify/checked-files.js';
import { verifyExport, withVerifyThreads } from '../../src/verify/verify-export.js';
import { realmliftHere } from '../cli/command-here.js';
import type { Ended } from '../cli/command-line.js';
import { withFaultyProxy } from '../files/faulty-proxy.js';
import { uploadsDirectory } from '../testbed/expected-export.js';
import { BUCKETS, withS3 } from '../testbed/s3-server.js';
import { AVATAR_SALT } from '../testbed/test-data.js';
import { leaveSharedServer, withTestDatabase } from '../testbed/test-database.js';
import { CHANGES } from './database-changes.js';
import { runExport, runLimited } from './export-process.js';
import { query, withGrownDatabase } from './grown-database.js';
import { baseOf, becomesFifo, both, CHOICES, exportHere, grownSource, place } from './base-runs.js';
import { exported, killedAt } from './killed-export.js';
import { differingPaths } from './same-tree.js';
import { exportFrom, exportRealm, tableFile, type Choices, type TestSource } from './test-source.js';
import { checkedBefore } from '../verify/our-export.js';

t.setTimeout(300_000);
leaveSharedServer();

/** Returns an export of what the database holds in the end, if it has one. @param base an export of what it holds, not to be changed */
type Case = (t: Test, url: string, root: string, base: string) => Promise<string | undefined>;

/** Cases of one database, one after the other. */
const CASES: (readonly [name: string, work: Case])[] = [];

const onGrown = (name: string, work: Case): void => void CASES.push([name, work]);

/** Another bit in its midst. */
function flip(path: string): void {
  const bytes = readFileSync(path);
  bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
  writeFileSync(path, bytes);
}

onGrown('a transaction under way when the base was taken', async (t, url, root) => {
  const client = new pg.Client({ connectionString: url, options: '-c search_path=zulip,pg_catalog' });
  await client.connect();
  const flag = (at: number): string => `UPDATE zerver_usermessage SET flags = flags | 64 WHERE message_id = (SELECT id FROM zerver_message WHERE realm_id = 2 ORDER BY id OFFSET ${at} LIMIT 1)`;
  await client.query('BEGIN; SELECT txid_current(); SAVEPOINT one');
  await client.query(flag(100));
  await client.query('RELEASE one; SAVEPOINT two');
  await client.query(flag(1100));
  // Others that begin later end before the base, in between and behind it.
  await query(url, flag(2100));
  const base = await exportHere(url, join(root, 'base'));
  await client.query('RELEASE two');
  await client.query('COMMIT');
  await client.end();
  const [fresh, caught] = await both(url, root, base);
  t.same(differingPaths(fresh, caught), [], 'is no part of it, nor are its subtransactions');
  t.match(baseOf(caught), { rows: 'by their versions', taken_over: { messages_files: 1 } }, 'what began behind it is asked for again as well');
  const again = await exportHere(url, join(root, 'again'), caught);
  t.same(differingPaths(fresh, again), []);
  t.match(baseOf(again), { taken_over: { messages_files: 4 } });
  t.match(JSON.parse(readFileSync(join(again, 'manifest.json'), 'utf8')), { base: { taken_at: String, snapshot: String, manifest_sha256: /^[0-9a-f]{64}$/ } });
  return fresh;
});

onGrown('messages behind the base, also far behind', async (t, url, root, first) => {
  const written = (distance: number): string => `INSERT INTO zerver_message SELECT r.* FROM (SELECT m FROM zerver_message m WHERE realm_id = 2 ORDER BY id DESC LIMIT 1) AS old,
    generate_series(1, 2) AS n, LATERAL jsonb_populate_record(old.m, jsonb_build_object('id', (SELECT max(id) FROM zerver_message) + n * ${distance})) AS r`;
  let base = first;
  // No more ids of all realms than so many are sent with those of the base.
  for (const distance of [1, 150_000]) {
    await query(url, written(distance));
    const [fresh, caught] = await both(url, join(root, String(distance)), base);
    t.same(differingPaths(fresh, caught), [], `by ${distance}`);
    t.match(baseOf(caught), { rows: 'by their versions', taken_over: { messages_files: 4 } });
    base = caught;
  }
  return base;
});

onGrown('killed, resumed, and its base', async (t, url, root, base) => {
  cpSync(base, join(root, 'untouched'), { recursive: true, preserveTimestamps: true });
  await query(url, CHANGES['messages read and starred'] as string);
  const output = join(root, 'out');
  await killedAt(url, output, 20, '--base', base);
  t.match(await runExport(url, output, '--resume'), { code: 1, stderr: /RESUME_MISMATCH.*base was [0-9a-f]{64} and is nothing/ });
  await query(url, CHANGES['an early message deleted'] as string);
  const fresh = await exported(t, url, join(root, 'fresh'));
  await killedAt(url, output, 40, '--base', base, '--resume');
  const actual = await exported(t, url, output, '--base', base, '--resume');
  t.same(differingPaths(fresh, actual), [], 'gives the same export');
  t.same(differingPaths(join(root, 'untouched'), base), [], 'and leaves the base as it was, whose files were linked by the first run and made anew by the next ones');
  return fresh;
});

onGrown('a disk that takes no more while files are mended', async (t, url, root, base) => {
  await query(url, CHANGES['messages read and starred'] as string);
  const fresh = await exported(t, url, join(root, 'fresh'));
  const output = join(root, 'out');
  const smallest = Math.min(...[1, 2, 3].map((number) => statSync(join(base, `messages-00000${number}.json`)).size));
  // It counts blocks of 512 bytes.
  t.match(await runLimited(`ulimit -f ${Math.floor(smallest / 512) - 1}`, url, output, '--base', base), { code: 1, stderr: /^realmlift: DISK_FULL \[package\]: .*messages-\d+\.json is larger than this process or file system allows/ });
  const caught = await exported(t, url, output, '--base', base, '--resume');
  t.same(differingPaths(fresh, caught), [], 'goes on when there is room');
  t.ok(baseOf(caught).taken_over.messages_files_but_for_a_few_rows > 0);
  return fresh;
});

onGrown('a base of which a part is damaged', async (t, url, root, fresh) => {
  const base = join(root, 'base');
  cpSync(fresh, base, { recursive: true, preserveTimestamps: true });
  const [upload] = tableFile(base, 'uploads/records.json') as unknown as { path: string }[];
  flip(join(base, 'messages-000002.json'));
  rmSync(join(base, 'messages-000003.json'));
  flip(join(base, 'uploads', upload?.path ?? ''));
  becomesFifo(join(base, 'realm.json'));
  const { code, stderr } = await runExport(url, join(root, 'out'), '--base', base, '--json');
  t.equal(code, 0, stderr);
  for (const path of ['messages-000002.json', 'messages-000003.json', upload?.path ?? '-']) t.match(stderr, new RegExp(`${path} is not what the earlier run finished`));
  t.same(differingPaths(fresh, join(root, 'out', 'acme')), [], 'is made again');

  const copy = join(root, 'copy');
  cpSync(fresh, copy, { recursive: true });
  const refused = async (name: string, code: string, message: RegExp, choices: Choices = {}, from = url, realm = 'acme'): Promise<void> => {
    await t.rejects(exportRealm(await grownSource(from), join(root, 'refused'), realm, { ...CHOICES, jobs: 1, base: place(copy), ...choices }), { code, message, exit: 3 }, name);
  };
  await refused('another realm', 'BASE_OF_ANOTHER', /realm was acme and is globex/, {}, url, 'globex');
  await refused('another mode', 'BASE_OF_ANOTHER', /mode was full and is public/, { mode: 'public', force: true });
  await t.rejects(exportFrom(await grownSource(url), join(root, 'refused'), ['acme', 'globex'], { ...CHOICES, base: place(copy) }), { code: 'BASE_UNFIT', message: /has no directory with an export of any of these realms/ }, 'one of many');
  for (const [pattern, ...words] of [[/--base takes over files as the old server has them/, '--remap'], [/--base takes over files of a directory/, '--output', '-']] as [RegExp, ...string[]][]) {
    t.match(await runExport(url, join(root, 'refused'), '--base', copy, ...words), { code: 2, stderr: pattern });
  }
  await withTestDatabase('zulip-11/local', async (other) => refused('another server', 'BASE_OF_ANOTHER', /database was/, {}, other));
  appendFileSync(join(copy, 'manifest.json'), ' ');
  await refused('another manifest', 'BASE_DAMAGED', /manifest\.json is not the one/);
  writeFileSync(join(copy, 'catch-up.journal'), readFileSync(join(copy, 'catch-up.journal')).subarray(0, -90));
  await refused('a cut journal', 'BASE_DAMAGED', /damaged or cut/);
  becomesFifo(join(copy, 'catch-up.journal'));
  await refused('no end of the journal', 'BASE_UNFIT', /has no catch-up\.journal/);
  rmSync(join(copy, 'catch-up.journal'));
  await refused('no journal', 'BASE_UNFIT', /has no catch-up\.journal/);
  renameSync(join(copy, 'manifest.json'), join(copy, 'other.json'));
  await refused('no manifest', 'BASE_UNFIT', /is no finished export/);
  await killedAt(url, join(root, 'killed'), 20);
  await refused('unfinished', 'BASE_UNFIT', /stopped half-way/, { base: place(join(root, 'killed', 'acme.partial')) });
  t.notOk(readdirSync(root).includes('refused') && readdirSync(join(root, 'refused')).length > 0, 'nothing is left of what was refused');
  return fresh;
});

onGrown('other people agree than then', async (t, url, root) => {
  const { rows } = await query(url, "SELECT delivery_email FROM zerver_userprofile WHERE realm_id = 2 AND NOT is_bot AND is_active AND NOT is_mirror_dummy ORDER BY role, id LIMIT 4");
  const list = (name: string, count: number): string => {
    writeFileSync(join(root, name), rows.slice(0, count).map((row) => row.delivery_email).join('\n'));
    return join(root, name);
  };
  const base = await exported(t, url, join(root, 'base'), '--users', list('three', 3));
  const fresh = await exported(t, url, join(root, 'fresh'), '--users', list('four', 4));
  const caught = await exported(t, url, join(root, 'caught'), '--users', list('four', 4), '--base', base);
  t.same(differingPaths(fresh, caught), [], 'gives the same export');
  t.match(baseOf(caught).rows, /^compared one by one: other people agree/);
  const less = await exported(t, url, join(root, 'less'), '--users', list('three', 3), '--base', caught);
  t.same(differingPaths(base, less), [], 'and back');
  return undefined;
});

onGrown('what verify found of the base', async (t, url, root) => {
  const base = await exportHere(url, join(root, 'base'), undefined, { verify: true });
  await query(url, CHANGES['messages read and starred'] as string);
  const [fresh, caught] = await both(url, root, base, { verify: true });
  const contents = (directory: string): { verified: object } => (JSON.parse(readFileSync(join(directory, 'report.json'), 'utf8')) as { contents: { verified: object } }).contents;
  t.same({ ...contents(caught), verified: undefined }, { ...contents(fresh), verified: undefined }, 'is counted as if the files were read');
  await query(url, 'SELECT txid_current()');
  const again = await exportHere(url, join(root, 'again'), caught, { verify: true });
  t.same(contents(again), contents(caught), 'also of a base of a base');

  const before = await checkedBefore(fresh);
  t.equal(before.files.size, 4, 'is known of each messages file');
  const findings = async (given: CheckedBefore | undefined): Promise<object> => {
    const { findings: all, totals: { seconds, ...totals }, census } = await withVerifyThreads(2, (workers) => verifyExport(fresh, { workers, before: given }));
    t.ok(seconds > 0);
    return { all, totals, census };
  };
  const realm = readFileSync(join(fresh, 'realm.json'), 'utf8');
  const rows = JSON.parse(realm) as Record<string, { id: number; message: number; type: number }[]>;
  const changed = async (name: string, table: string, change: (all: typeof rows[string]) => typeof rows[string]): Promise<void> => {
    writeFileSync(join(fresh, 'realm.json'), JSON.stringify({ ...rows, [table]: change(rows[table] ?? []) }));
    t.same(await findings(before), await findings(undefined), name);
  };
  await changed('and holds while all is there', 'zerver_recipient', (all) => all);
  await changed('not where users are gone', 'zerver_userprofile', (all) => all.slice(4));
  await changed('nor where recipients are others', 'zerver_recipient', (all) => all.map((row) => ({ ...row, type: 3 })));
  await changed('and what points to messages is looked at', 'zerver_reaction', (all) => all.map((row, at) => (at % 2 === 0 ? row : { ...row, message: row.message + 1 })));

  // As nobody does it: another content under the same inode and time.
  const path = join(caught, 'messages-000001.json');
  const { mtimeNs } = statSync(path, { bigint: true });
  flip(path);
  t.equal(spawnSync('touch', ['--no-dereference', `--date=@${mtimeNs / 1_000_000_000n}.${String(mtimeNs % 1_000_000_000n).padStart(9, '0')}`, path]).status, 0);
  await t.rejects(exportHere(url, join(root, 'damaged'), caught, { verify: true }), { code: 'VERIFY_FAILED', message: /messages-000001\.json: the SHA-256 is not the one of the manifest/ }, 'is no reason not to compare the digests');
  return undefined;
});

onGrown('a role that may not look', async (t, url, root) => {
  await query(url, `
    DROP ROLE IF EXISTS base_reader; CREATE ROLE base_reader LOGIN PASSWORD 'reads'; GRANT USAGE ON SCHEMA zulip TO base_reader; GRANT SELECT ON ALL TABLES IN SCHEMA zulip TO base_reader`);
  const readers = Object.assign(new URL(url), { username: 'base_reader', password: 'reads' }).href;
  const caughtUp = async (name: string, base: string): Promise<string> => {
    const caught = await exportHere(readers, join(root, name), base);
    t.same(differingPaths(fresh, caught), [], `${name}: gives the same export`);
    return caught;
  };
  const base = await exportHere(readers, join(root, 'base'));
  let fresh = base;
  try {
    await query(url, `
      REVOKE SELECT ON zerver_usermessage FROM base_reader; GRANT SELECT (id, flags, message_id, user_profile_id) ON zerver_usermessage TO base_reader;
      UPDATE zerver_usermessage SET flags = flags | 64 WHERE message_id = (SELECT min(id) FROM zerver_message WHERE realm_id = 2)`);
    fresh = await exportHere(readers, join(root, 'fresh'));
    const columns = await caughtUp('single columns', base);
    t.match(baseOf(columns), { rows: /^compared one by one: the role may not read the versions of rows/, taken_over: { messages_files: 3 } });
    await query(url, 'GRANT SELECT ON zerver_usermessage TO base_reader; REVOKE EXECUTE ON FUNCTION pg_control_checkpoint() FROM PUBLIC');
    const control = await caughtUp('no cluster', base);
    t.match(baseOf(control).rows, /^compared one by one: the role may not ask which cluster it is/);
    t.ok(baseOf(control).taken_over.messages_files > 0);
  } finally {
    await query(url, 'DROP OWNED BY base_reader; DROP ROLE base_reader');
  }
  return fresh;
});

t.test('files of the local disk', async (t) => {
  const root = t.testdir({});
  const uploadsDir = join(root, 'uploads');
  cpSync(await uploadsDirectory('zulip-11/local'), uploadsDir, { recursive: true, preserveTimestamps: true });
  await withTestDatabase('zulip-11/local', async (url) => {
    const source: TestSource = { dataset: 'zulip-11/local', url, openStore: () => openLocalStore({ uploadsDir }) };
    const base = await exportRealm(source, join(root, 'base'), 'acme', CHOICES);
    const keys = (tableFile(base, 'uploads/records.json') as unknown as { path: string }[]).map(({ path }) => join(uploadsDir, 'files', path));
    const [swapped = '', gone = '', replaced = ''] = keys;
    const { atime, mtime, size } = statSync(swapped);
    writeFileSync(swapped, Buffer.alloc(size, 'x'));
    utimesSync(swapped, atime, mtime);
    rmSync(gone);
    cpSync(keys[3] ?? '', `${replaced}.new`, { preserveTimestamps: true });
    renameSync(`${replaced}.new`, replaced);
    const icon = join(uploadsDir, 'avatars', '2', 'realm', readdirSync(join(uploadsDir, 'avatars', '2', 'realm'))[0] ?? '');
    appendFileSync(icon, 'more');
    const fresh = await exportRealm(source, join(root, 'fresh'), 'acme', CHOICES);
    const caught = await exportRealm(source, join(root, 'caught'), 'acme', { ...CHOICES, base: place(base) });
    t.same(differingPaths(fresh, caught), [], 'are the same as a fresh export has them');
    const all = readdirSync(fresh, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile() && /(uploads|avatars|emoji|realm_icons)\//.test(`${entry.parentPath}/`) && entry.name !== 'records.json').length;
    t.equal(baseOf(caught).taken_over.files, all - 3, 'and taken over but for those that are not the same file');
  });
});

t.test('files of buckets', async (t) => {
  const root = t.testdir({});
  await withTestDatabase('zulip-11/s3', (url) => withS3(async (server) => {
    const seen: string[] = [];
    await withFaultyProxy(server.endpoint, ({ method, path }) => {
      seen.push(`${method} ${path}`);
      return undefined;
    }, async ({ endpoint }) => {
      const source: TestSource = {
        dataset: 'zulip-11/s3', url, openStore: () => openS3Store({
          endpoint, region: 'us-east-1', uploadsBucket: BUCKETS.uploads, avatarsBucket: BUCKETS.avatars, credentials: { accessKeyId: 'S3RVER', secretAccessKey: 'S3RVER' },
        }),
      };
      const requests = async (output: string, base?: string): Promise<{ directory: string; objects: string[]; listings: number }> => {
        seen.splice(0);
        const directory = await exportRealm(source, join(root, output), 'acme', { ...CHOICES, base: base === undefined ? undefined : place(base) });
        const objects = seen.filter((each) => !each.includes('list-type=2') && /^GET \/[^/]+\/./.test(each));
        return { directory, objects, listings: seen.filter((each) => each.includes('list-type=2')).length };
      };
      const first = await requests('base');
      t.ok(first.objects.length > 20, `${first.objects.length} objects, ${first.listings} listings`);
      const second = await requests('second', first.directory);
      t.same(second.objects, [], 'unchanged objects are not asked for');
      t.ok(second.listings <= first.listings + 4, `${second.listings} listings`);
      t.same(differingPaths(first.directory, second.directory), []);

      const records = tableFile(first.directory, 'uploads/records.json') as unknown as { s3_path: string; user_profile_id: number }[];
      const [changed, gone] = records;
      await server.client.send(new PutObjectCommand({ Bucket: BUCKETS.uploads, Key: changed?.s3_path, Body: 'other content', Metadata: { user_profile_id: String(changed?.user_profile_id), realm_id: '2' } }));
      await server.client.send(new DeleteObjectCommand({ Bucket: BUCKETS.uploads, Key: gone?.s3_path }));
      const [fresh, caught] = [await requests('fresh'), await requests('caught', second.directory)];
      t.same(differingPaths(fresh.directory, caught.directory), [], 'an object that was replaced, and one that is gone');
      t.equal(caught.objects.length <= 4, true, `are asked for: ${caught.objects.join()}`);

      await t.test('the base itself in a bucket', async (t) => {
        const env = { ...server.environment, DATABASE_URL: url, ZULIP_AVATAR_SALT: AVATAR_SALT['zulip-11/s3'] };
        const run = (output: string, ...words: string[]): Promise<Ended> => realmliftHere(['export', '--realm', 'acme', '--output', output, '--no-verify', '--quiet', '--random-seed', 'test', ...words], env);
        t.match(await run(`s3://${BUCKETS.avatars}/exports`), { code: 0 });
        await query(url, 'SELECT txid_current()');
        t.match(await run(join(root, 'of-bucket'), '--base', `s3://${BUCKETS.avatars}/exports/acme`), { code: 0 });
        t.same(differingPaths(fresh.directory, join(root, 'of-bucket', 'acme')), []);
        t.match(baseOf(join(root, 'of-bucket', 'acme')), { rows: 'by their versions', taken_over: { messages_files: 1, files: 0 } });
        t.match(await run(join(root, 'none'), '--base', `s3://${BUCKETS.avatars}/exports/globex`), { code: 3, stderr: /BASE_UNFIT.*s3:\/\/zulip-avatars\/exports\/globex has no manifest\.json/ });
        t.match(await run(join(root, 'none'), '--base', `s3://${BUCKETS.avatars}/exports`), { code: 3, stderr: /exports has no manifest\.json \(name the finished export of one realm that --upload or --output stored, such as s3:\/\/zulip-avatars\/exports\/acme; for several realms/ });
        t.match(await run(join(root, 'none'), '--realm', 'tiny', '--base', `s3://${BUCKETS.avatars}/exports/acme`), { code: 3, stderr: /exports\/acme is the export of one realm, and 2 are to be exported \(export that realm alone; or fetch/ });
      });
    });
  }));
});

onGrown('exports that were made together', async (t, url, root) => {
  const source = await grownSource(url);
  const all = async (name: string, choices: Choices = {}): Promise<string> => {
    for (const outcome of await exportFrom(source, join(root, name), 'all', { ...CHOICES, ...choices })) if ('error' in outcome) throw outcome.error;
    return join(root, name);
  };
  const together = await all('together', { verify: true });
  await query(url, CHANGES['messages read and starred'] as string);
  const fresh = await all('fresh');
  const alone = join(fresh, 'acme');
  const caught = await exportRealm(source, join(root, 'caught'), 'acme', { ...CHOICES, base: place(join(together, 'acme')) });
  t.same(differingPaths(alone, caught), [], 'are bases like others');
  const { rows, taken_over: taken } = baseOf(caught);
  t.match({ rows, taken }, { rows: 'by their versions', taken: { files: 44 } });
  t.equal(taken.messages_files + taken.messages_files_but_for_a_few_rows, 4);
  t.same(differingPaths(alone, await exportRealm(source, join(root, 'verified'), 'acme', { ...CHOICES, base: place(caught) })), [], 'and what is made of them is one');

  rmSync(join(together, 'closed'), { recursive: true });
  const warnings: string[] = [];
  const again = await all('again', { base: place(together), onEvent: (event) => { if (event.kind === 'warning') warnings.push(event.text); } });
  const realms = readdirSync(fresh).filter((name) => statSync(join(fresh, name)).isDirectory());
  t.ok(realms.length > 2);
  for (const realm of realms) {
    t.same(differingPaths(join(fresh, realm), join(again, realm)), [], `the directory of a run of many is the base of another: ${realm}`);
    if (realm !== 'closed') t.ok(baseOf(join(again, realm)).taken_over.messages_files + baseOf(join(again, realm)).taken_over.files >= 0, realm);
  }
  t.match(warnings, [/closed is no export: closed is exported whole/]);
  return alone;
});

t.test('a grown database', async (t) => {
  const root = t.testdir({});
  await withGrownDatabase(async (url) => {
    let last: string | undefined;
    for (const [index, [name, work]] of CASES.entries()) {
      const base = last ?? await exportHere(url, join(root, `base-${index}`));
      mkdirSync(join(root, String(index)));
      await t.test(name, async (t) => { last = await work(t, url, join(root, String(index)), base); });
    }
  });
});
