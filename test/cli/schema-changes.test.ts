// A server whose schema has more than any known release: nothing of that is passed over in silence.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import t, { type Test } from 'tap';
import { uploadsDirectory } from '../testbed/expected-export.js';
import { AVATAR_SALT } from '../testbed/test-data.js';
import { withTestDatabase } from '../testbed/test-database.js';
import { realmliftHere as realmlift } from './command-here.js';
import type { Ended } from './command-line.js';

type Row = Record<string, unknown>;
interface Report {
  readonly unknown_tables: string[];
  readonly unknown_columns: string[];
  readonly stripped_columns: string[];
  readonly kept_columns: Record<string, string>;
  readonly references_without_constraint: string[];
  readonly tables_not_exported: Record<string, string>;
}

/** Exports acme, small and quick, after `change`. */
async function exportAfter(t: Test, change: string, work: (run: (name: string, ...words: string[]) => Promise<Ended>, directory: string) => Promise<void>): Promise<void> {
  const directory = t.testdir({});
  const uploads = await uploadsDirectory('zulip-11/local');
  await withTestDatabase('zulip-11/local', async (url) => {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    await client.query(`SET search_path = zulip; ${change}`).finally(() => client.end());
    await work((name, ...words) => realmlift(['export', '--realm', 'tiny', '--output', join(directory, name), '--uploads-dir', uploads, '--jobs', '1', ...words], {
      DATABASE_URL: url, ZULIP_AVATAR_SALT: AVATAR_SALT['zulip-11/local'],
    }), directory);
  });
}

const read = <T>(...path: string[]): T => JSON.parse(readFileSync(join(...path), 'utf8')) as T;

t.test('unknown tables are named, unknown columns travel and are named', async (t) => {
  const change = `
    CREATE TABLE zerver_novelty (id int, realm_id int REFERENCES zerver_realm, note text);
    CREATE TABLE zerver_novelty_users (id int);
    ALTER TABLE zerver_stream ADD COLUMN mood text DEFAULT 'calm', ADD COLUMN twin_id bigint REFERENCES zerver_stream, ADD COLUMN rank numeric DEFAULT 1.50`;
  await exportAfter(t, change, async (run, directory) => {
    const { code, stderr } = await run('out');
    t.equal(code, 0, stderr);
    t.match(stderr, /\n {2}tables that nothing classifies, not exported: zerver_novelty, zerver_novelty_users\n/);
    t.match(stderr, /\n {2}columns that no known release has, exported: zerver_stream\.mood, zerver_stream\.twin_id, zerver_stream\.rank\n/);
    const report = read<Report>(directory, 'out', 'tiny', 'report.json');
    t.strictSame(report.unknown_tables, ['zerver_novelty', 'zerver_novelty_users']);
    t.strictSame(report.unknown_columns, ['zerver_stream.mood', 'zerver_stream.twin_id', 'zerver_stream.rank']);
    t.equal(report.tables_not_exported.zerver_draft, 'drafts: not exported by Zulip');
    const { zerver_stream: streams } = read<{ zerver_stream: Row[] }>(directory, 'out', 'tiny', 'realm.json');
    t.ok(streams.length > 0);
    for (const stream of streams) t.match(stream, { mood: 'calm', twin: null, rank: 1.5 }, 'a reference loses its _id');
  });
});

t.test('a column whose name looks like a secret stops the run, until somebody decides', async (t) => {
  const change = `ALTER TABLE zerver_stream ADD COLUMN webhook_secret text DEFAULT 'hunter2', ADD COLUMN smtp_password text DEFAULT 'hunter3';
    ALTER TABLE zerver_draft ADD COLUMN secret_note text`;
  await exportAfter(t, change, async (run, directory) => {
    const stopped = await run('stopped');
    t.equal(stopped.code, 3);
    t.equal(stopped.errors.length, 1);
    t.match(stopped.stderr, /^realmlift: SECRET_UNDECIDED \[plan\]: .*: zerver_stream\.webhook_secret, zerver_stream\.smtp_password \(decide with --strip zerver_stream\.webhook_secret --strip zerver_stream\.smtp_password/);
    t.notOk(existsSync(join(directory, 'stopped', 'tiny')));
    t.notOk(existsSync(join(directory, 'stopped', 'tiny.partial', 'messages-000001.json')), 'no row has left');

    const half = await run('half', '--strip', 'zerver_stream.webhook_secret');
    t.equal(half.code, 3);
    t.match(half.stderr, /: zerver_stream\.smtp_password \(decide/);

    const decided = await run('decided', '--strip', 'zerver_stream.webhook_secret', '--keep', 'zerver_stream.smtp_password');
    t.equal(decided.code, 0, decided.stderr);
    t.match(decided.stderr, /\n {2}secrets left out: [^\n]*zerver_stream\.webhook_secret/);
    t.match(decided.stderr, /\n {2}kept: zerver_stream\.smtp_password/);
    const report = read<Report>(directory, 'decided', 'tiny', 'report.json');
    t.ok(report.stripped_columns.includes('zerver_stream.webhook_secret'));
    t.ok(Object.keys(report.kept_columns).includes('zerver_stream.smtp_password'));
    for (const stream of read<{ zerver_stream: Row[] }>(directory, 'decided', 'tiny', 'realm.json').zerver_stream) {
      t.notOk('webhook_secret' in stream);
      t.equal(stream.smtp_password, 'hunter3');
    }
    t.equal((await realmlift(['verify', join(directory, 'decided', 'tiny')])).code, 0, 'verify knows what was decided');
  });
});

t.test('what is secret stays out also when it is asked to be kept, and the own secret of the realm can be stripped', async (t) => {
  await exportAfter(t, 'SELECT 1', async (run, directory) => {
    const { code, stderr } = await run('out', '--strip', 'zerver_realm.uuid_owner_secret', '--strip', 'zerver_userprofile.avatar_hash');
    t.equal(code, 0, stderr);
    const { zerver_realm: realms, zerver_userprofile: users } = read<Record<string, Row[]>>(directory, 'out', 'tiny', 'realm.json');
    t.notOk('uuid_owner_secret' in (realms?.[0] ?? {}));
    t.notOk('avatar_hash' in (users?.[0] ?? {}));
    t.match(stderr, /\n {2}secrets left out: .*zerver_realm\.uuid_owner_secret/);
    const kept = await run('kept', '--keep', 'zerver_userprofile.password');
    t.equal(kept.code, 2, kept.stderr);
    t.match(kept.stderr, /^realmlift: COLUMN_SECRET \[plan, zerver_userprofile\]: /);
  });
});
