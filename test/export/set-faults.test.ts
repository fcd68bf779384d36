/** What is the fault of one realm of many, or of none, in a run of many: it ends that export by name, and the others are whole. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import t, { type Test } from 'tap';
import { deal, Ordinals } from '../../src/export/segments/dealer.js';
import { SpoolSeries } from '../../src/export/spools/spool-series.js';
import { loadDump } from '../../src/demo/dump-loader.js';
import { openLocalStore } from '../../src/files/local-store.js';
import { uploadsDirectory } from '../testbed/expected-export.js';
import { withEmptyDatabase, withTestDatabase } from '../testbed/test-database.js';
import { testData } from '../testbed/test-data.js';
import { runExport, runLimited } from './export-process.js';
import { query } from './grown-database.js';
import { differingPaths } from './same-tree.js';
import { exportFrom, type TestSource } from './test-source.js';

const REALMS = ['acme', 'closed', 'globex', 'tiny'];
const ALL = REALMS.flatMap((realm) => ['--realm', realm]);
const sourceOf = (url: string): TestSource => ({ dataset: 'zulip-11/local', url, openStore: async () => openLocalStore({ uploadsDir: await uploadsDirectory('zulip-11/local') }) });
const published = (output: string): string[] => (existsSync(output) ? readdirSync(output).filter((name) => REALMS.includes(name)).sort() : []);

t.test('rows that the server cannot send are named, and cost their own realms alone', async (t) => {
  await withEmptyDatabase(async (url) => {
    await loadDump(url, testData('zulip-11/local', 'database.sql.gz'));
    const root = t.testdir({});
    const good = join(root, 'good');
    t.match(await runExport(url, good, ...ALL), { code: 0 });
    const broken = async (table: string, column: string, realm: string): Promise<string> => String((await query(url, `
      UPDATE ${table} SET ${column} = ${column} || convert_from('\\x636166e9', 'SQL_ASCII')
      WHERE id = (SELECT max(t.id) FROM ${table} t JOIN zerver_recipient c ON c.id = t.recipient_id AND c.type = 2 WHERE t.realm_id = (SELECT id FROM zerver_realm WHERE string_id = '${realm}')) RETURNING id`)).rows[0]?.id);
    const message = await broken('zerver_message', 'content', 'globex');
    const channel = await broken('zerver_stream', 'description', 'closed');
    const output = join(root, 'out');
    const { code, stderr } = await runExport(url, output, ...ALL);
    t.equal(code, 1);
    t.match(stderr, new RegExp(`^globex: realmlift: TEXT_NOT_UTF8 \\[copy, zerver_message\\]: the text of the row with id ${message} `, 'm'));
    t.match(stderr, new RegExp(`^closed: realmlift: TEXT_NOT_UTF8 \\[copy, zerver_stream\\]: the text of the row with id ${channel} `, 'm'));
    t.notMatch(stderr, /caf/, 'no content');
    t.same(published(output), ['acme', 'tiny']);
    for (const realm of ['acme', 'tiny']) t.same(differingPaths(join(good, realm), join(output, realm)), [], realm);
  }, 'SQL_ASCII');
});

t.test('realms of one name, and names that a run needs itself', async (t) => {
  await withTestDatabase('zulip-11/local', async (url) => {
    const source = sourceOf(url);
    await query(url, `
      UPDATE zerver_realm SET string_id = 'acme.partial' WHERE string_id = 'globex'; UPDATE zerver_realm SET string_id = '_root' WHERE string_id = 'closed'; UPDATE zerver_realm SET string_id = '' WHERE string_id = 'tiny'`);
    const root = t.testdir({});
    const outcomes = await exportFrom(source, join(root, 'odd'), 'all', { verify: false });
    t.same(outcomes.map((each) => ('error' in each ? each.error.code : each.target.directory)).sort(), ['%5froot', '_root', 'acme', 'acme%2epartial'], 'none is where another is');
    const { rows } = await query(url, "SELECT conname FROM pg_constraint WHERE conrelid = 'zulip.zerver_realm'::regclass AND contype = 'u' AND pg_get_constraintdef(oid) LIKE '%(string_id)%'");
    for (const { conname } of rows) await query(url, `ALTER TABLE zerver_realm DROP CONSTRAINT "${String(conname)}"`);
    await query(url, "UPDATE zerver_realm SET string_id = 'acme' WHERE string_id = '_root'");
    const codes = (await exportFrom(source, join(root, 'twice'), 'all', { verify: false })).map((each) => [each.target.name, 'error' in each ? each.error.code : 'done']);
    t.same(codes.sort(), [['', 'done'], ['acme', 'REALM_AMBIGUOUS'], ['acme', 'REALM_AMBIGUOUS'], ['acme.partial', 'done']], 'neither can be told from the other');
    t.match(await runExport(url, join(root, 'one'), '--realm', 'acme'), { code: 3, stderr: /REALM_AMBIGUOUS .*2 realms have the subdomain "acme"/ });
  });
});

t.test('all realms of a server', async (t) => {
  await withTestDatabase('zulip-11/local', async (url) => {
    const root = t.testdir({});
    const good = join(root, 'good');
    t.match(await runExport(url, good, ...ALL), { code: 0 });
    const sameAsGood = (t: Test, output: string, realms: readonly string[] = REALMS): void => {
      for (const realm of realms) t.same(differingPaths(join(good, realm), join(output, realm)), [], realm);
    };

    await t.test('a full disk ends the run, which goes on when there is room', async (t) => {
      const output = join(root, 'out');
      // It counts blocks of 512 bytes; the messages file of acme has more than 500 KB.
      const { code, stderr } = await runLimited('ulimit -f 600', url, output, ...ALL);
      t.equal(code, 1);
      t.match(stderr, /DISK_FULL \[package\].*--resume/);
      t.same(readdirSync(output).filter((name) => name.startsWith('.')), [], 'the rows that were copied are gone, and make room');
      t.same(published(output), []);
      t.match(await runExport(url, output, ...ALL, '--resume'), { code: 0 });
      sameAsGood(t, output);
    });

    await t.test('a disk that is full when some are published', async (t) => {
      const small = mkdtempSync(join(tmpdir(), 'realmlift-small-'));
      try {
        // A file system of its own is root's to mount, where the machine lets it.
        execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=3m', 'tmpfs', small], { stdio: 'ignore' });
      } catch {
        t.comment('no file system can be mounted here');
        rmdirSync(small);
        return;
      }
      try {
        const output = join(small, 'out');
        const { code, stderr } = await runExport(url, output, ...ALL);
        t.equal(code, 1);
        t.match(stderr, /DISK_FULL/);
        sameAsGood(t, output, published(output));
        execFileSync('mount', ['-o', 'remount,size=100m', small]);
        const left = REALMS.filter((realm) => !published(output).includes(realm));
        t.match(await runExport(url, output, ...left.flatMap((realm) => ['--realm', realm]), '--resume'), { code: 0 });
        sameAsGood(t, output);
      } finally {
        execFileSync('umount', ['-l', small]);
        rmdirSync(small);
      }
    });

    await t.test('a realm that comes or goes while the run starts is, or is not, part of the moment', async (t) => {
      const outcomes = await exportFrom(sourceOf(url), join(root, 'during'), 'all', {
        verify: false,
        checkTargets: async () => {
          await query(url, `
            SET session_replication_role = replica;
            DELETE FROM zerver_message WHERE realm_id = (SELECT id FROM zerver_realm WHERE string_id = 'tiny'); DELETE FROM zerver_realm WHERE string_id = 'tiny';
            INSERT INTO zerver_realm SELECT made.* FROM zerver_realm r, LATERAL jsonb_populate_record(r, jsonb_build_object('id', 90001, 'string_id', 'late', 'uuid', '11111111-1111-1111-1111-111111111111')) AS made WHERE r.string_id = 'acme'`);
        },
      });
      t.same(outcomes.map((each) => [each.target.name, 'error' in each ? each.error.code : 'done']), REALMS.map((realm) => [realm, 'done']));
      sameAsGood(t, join(root, 'during'));
    });
  });
});

t.test('thousands of targets, few open files', async (t) => {
  await withTestDatabase('zulip-11/local', async (url) => {
    await query(url, 'CREATE TABLE body AS SELECT number, \'text\'::text AS content, \'<p>text</p>\'::text AS rendered, to_tsvector(\'text\') AS words FROM generate_series(0, 996) number');
    const script = readFileSync(join(import.meta.dirname, '..', '..', '..', 'bench', 'many-realms.sql'), 'utf8');
    await query(url, `SELECT set_config('bench.realms', '280', false), set_config('bench.messages', '3', false); ${script}; ANALYZE`);
    const root = t.testdir({});
    const output = join(root, 'out');
    t.match(await runLimited('ulimit -n 256', url, output, '--all-realms'), { code: 0, stderr: '' });
    t.equal(readdirSync(output).length, 284 + 2);
    for (const realm of ['bench-0', 'bench-279', 'acme']) {
      t.match(await runExport(url, join(root, 'alone'), '--realm', realm), { code: 0 });
      t.same(differingPaths(join(root, 'alone', realm), join(output, realm)), [], `${realm}: the same bytes as alone`);
    }
    rmSync(output, { recursive: true });
  });
});

t.test('a row that is not the tenant\'s ends the run, whatever the view says', async (t) => {
  await withTestDatabase('zulip-11/local', async (url) => {
    const root = t.testdir({});
    const ordinals = new Ordinals(Float64Array.of(7, 8));
    let spool = 0;
    const dealt = async (columns: string, rows: string): Promise<number> => {
      const session = new pg.Client({ connectionString: url });
      await session.connect();
      const spools = new SpoolSeries(join(root, `spool-${spool++}`), 2);
      const names = columns.split(', ');
      try {
        await deal(session, { table: 'zerver_stream', columns: names, keys: names, stripped: [], select: `SELECT * FROM (VALUES ${rows}) AS t(tenant, ${columns})` }, ordinals, spools, (ordinal) => ordinal, () => undefined);
        return spools.finish().reduce((sum, each) => sum + each.rows, 0);
      } finally {
        spools.abandon();
        await session.end().catch(() => undefined);
      }
    };
    t.equal(await dealt('id, realm_id', '(7, 1, 7), (8, 2, 8)'), 2);
    await t.rejects(dealt('id, realm_id', '(7, 1, 7), (9, 2, 9)'), { code: 'ROW_FOREIGN', table: 'zerver_stream', message: 'a row came of a realm that is not exported' });
    await t.rejects(dealt('id, realm_id', '(7, 1, 7), (8, 2, 7)'), { code: 'ROW_FOREIGN', message: 'a row came for another realm than the one that it names' });
    await t.rejects(dealt('id, realm_id', '(7, 1, 7), (NULL, 2, 7)'), { code: 'COPY_MALFORMED' }, 'of nobody');
    // Longer than what is held of a row before its tenant's other columns are known.
    await t.rejects(dealt('id, name, realm_id', "(7, 1, repeat('x', 3000000), 8)"), { code: 'ROW_FOREIGN' });
  });
});
