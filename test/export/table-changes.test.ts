/** Tables that somebody changes between the snapshot and the first read, or wants to change while they are read. */
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import t from 'tap';
import type { ExportEvent } from '../../src/export/events.js';
import { withTestDatabase } from '../testbed/test-database.js';
import { startExport, runExport, type Ended, type ExportProcess } from './export-process.js';
import { query } from './grown-database.js';
import { sessions } from './blocked-export.js';
import { differingPaths } from './same-tree.js';
import { exportFrom, only, tableFile, withSource } from './test-source.js';

t.setTimeout(240_000);

/** Runs `work` with a transaction of its own, and the id of the snapshot that it exports. */
async function withTransaction<T>(url: string, sql: string, work: (client: pg.Client, snapshot: string) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url, options: '-c search_path=zulip,pg_catalog -c application_name=migration' });
  client.on('error', () => undefined);
  await client.connect();
  try {
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
    const { rows } = await client.query<{ id: string }>('SELECT pg_export_snapshot() AS id');
    await client.query(sql);
    return await work(client, rows[0]?.id as string);
  } finally {
    await client.end();
  }
}

const REWRITE = 'ALTER TABLE zerver_reaction ALTER COLUMN emoji_code TYPE varchar(10) USING left(emoji_code, 10)';

/** Moves the usermessages into a partition. */
const PARTITION = `
  CREATE SCHEMA parts; ALTER TABLE zerver_usermessage SET SCHEMA parts;
  CREATE TABLE zulip.zerver_usermessage (LIKE parts.zerver_usermessage) PARTITION BY RANGE (id);
  ALTER TABLE zerver_usermessage ATTACH PARTITION parts.zerver_usermessage DEFAULT`;

/** Changes after the snapshot; each VACUUM and CLUSTER as a statement of its own, since they run in no transaction. */
const CHANGES: readonly { readonly name: string; readonly before?: string; readonly sql: readonly string[]; readonly table?: string }[] = [
  { name: 'written anew', sql: [REWRITE] },
  { name: 'emptied', sql: ['TRUNCATE zerver_reaction'] },
  { name: 'volatile default', sql: ['ALTER TABLE zerver_reaction ADD COLUMN noise float8 DEFAULT random()'] },
  { name: 'made anew', sql: ['CREATE TABLE other (LIKE zerver_reaction); DROP TABLE zerver_reaction; ALTER TABLE other RENAME TO zerver_reaction'] },
  { name: 'column made anew', sql: ['ALTER TABLE zerver_reaction DROP COLUMN emoji_name; ALTER TABLE zerver_reaction ADD COLUMN emoji_name text'] },
  { name: 'written anew, then packed', sql: [REWRITE, 'VACUUM FULL zerver_reaction', 'CLUSTER zerver_reaction USING zerver_reaction_pkey'] },
  {
    name: 'filled with rows that every snapshot sees',
    sql: ["COPY zerver_reaction TO PROGRAM 'cat > reactions'", "TRUNCATE zerver_reaction; COPY zerver_reaction FROM PROGRAM 'head -n 100 reactions' WITH (FREEZE)", 'VACUUM FULL zerver_reaction'],
  },
  { name: 'partition detached', before: PARTITION, sql: ['ALTER TABLE zerver_usermessage DETACH PARTITION parts.zerver_usermessage'], table: 'zerver_usermessage' },
  { name: 'partition emptied', before: PARTITION, sql: ['TRUNCATE parts.zerver_usermessage'], table: 'zerver_usermessage' },
];

t.test('a table that is not what the snapshot knows ends the run by name', async (t) => {
  const root = t.testdir({});
  for (const { name, before, sql, table = 'zerver_reaction' } of CHANGES) {
    await withTestDatabase('zulip-11/local', async (url) => {
      if (before !== undefined) await query(url, before);
      const { code, stderr } = await withTransaction(url, 'SELECT', async (_, snapshot) => {
        for (const statement of sql) await query(url, statement);
        return runExport(url, join(root, name), '--snapshot', snapshot);
      });
      t.equal(code, 1, name);
      t.match(stderr, new RegExp(`^realmlift: TABLE_CHANGED \\[snapshot, ${table}\\]: \\w+\\.${table} .*take a new snapshot\\)\\n$`));
      t.strictSame(existsSync(join(root, name)) ? readdirSync(join(root, name)) : [], [], 'before a row left');
    });
  }
});

t.test('what leaves the rows as they were is no reason to stop', async (t) => {
  const root = t.testdir({});
  await withTestDatabase('zulip-11/local', async (url) => {
    t.match(await runExport(url, join(root, 'before')), { code: 0 });
    await query(url, 'CLUSTER zerver_reaction USING zerver_reaction_pkey');
    await withTransaction(url, 'SELECT', async (_, snapshot) => {
      for (const statement of [
        'DELETE FROM zerver_reaction WHERE id % 2 = 0', 'UPDATE zerver_message SET content = content', 'VACUUM FULL zerver_reaction', 'VACUUM FULL zerver_message', 'CLUSTER zerver_reaction',
        'ALTER TABLE zerver_reaction ADD COLUMN more integer DEFAULT 5', 'REINDEX TABLE zerver_message', 'ANALYZE', 'ALTER TABLE zerver_stream ALTER COLUMN name TYPE varchar(200)',
        'TRUNCATE zerver_draft',
      ]) await query(url, statement);
      t.match(await runExport(url, join(root, 'after'), '--snapshot', snapshot), { code: 0 });
    });
    t.same(differingPaths(join(root, 'before', 'acme'), join(root, 'after', 'acme')), [], 'and the export is the same');
  });
});

t.test('whoever changes a table is waited for, by name, and what was changed meanwhile is found', async (t) => {
  const root = t.testdir({});
  await withTestDatabase('zulip-11/local', async (url) => {
    const waiting = async (client: pg.Client, sql: string, ...words: string[]): Promise<Ended> => {
      await client.query(sql);
      const running = await startExport(url, join(root, 'waits'), ...words);
      await Promise.race([running.ended, new Promise<void>((resolve) => {
        let said = '';
        running.process.stderr?.on('data', (chunk: Buffer) => {
          said += chunk.toString();
          if (said.includes('"waiting"')) resolve();
        });
      })]);
      await client.query('COMMIT');
      return running.ended;
    };
    const told = (stderr: string): unknown => JSON.parse(stderr.split('\n').find((line) => line.includes('"waiting"')) ?? '{}');
    const changed = await withTransaction(url, 'SELECT', (client) => waiting(client, `/* secret */ ${REWRITE}`, '--json'));
    t.match(told(changed.stderr), { kind: 'waiting', table: 'zulip.zerver_reaction', holders: [{ application: 'migration', idle: true }] });
    t.notMatch(changed.stderr, 'secret');
    t.match(changed, { code: 1, stderr: /\{[^\n]*"code":"TABLE_CHANGED","stage":"snapshot"[^\n]*zerver_reaction[^\n]*run again/ });

    const harmless = await withTransaction(url, 'SELECT', (client) => waiting(client, 'ALTER TABLE zerver_reaction ADD COLUMN more integer', '--json'));
    t.equal(harmless.code, 0, harmless.stderr);
    t.match(told(harmless.stderr), { kind: 'waiting', table: 'zulip.zerver_reaction', holders: [{ application: 'migration', idle: true }] });

    await withTransaction(url, REWRITE.replace('10', '12'), async () => {
      t.match(await runExport(url, join(root, 'limited'), '--lock-timeout', '1s'), { code: 1, stderr: /^realmlift: LOCK_TIMEOUT \[snapshot, zerver_reaction\]: no lock within 1 s on zulip\.zerver_reaction since .*held by pid \d+ \(migration.*--lock-timeout\)\n$/ });
    });
    await withTransaction(url, 'LOCK TABLE zerver_draft, django_session', async () => {
      t.match(await runExport(url, join(root, 'unread')), { code: 0 }, 'a table that is not read is not waited for');
    });
  });
});

t.test('while rows are read, whoever wants to change a table waits, and the run does not wait for him', async (t) => {
  const root = t.testdir({});
  await withTestDatabase('zulip-11/local', async (url) => {
    t.match(await runExport(url, join(root, 'before')), { code: 0 });
    // On a busy machine rows may be read between two looks: then from the start again.
    const reading = async (): Promise<ExportProcess> => {
      for (;;) {
        rmSync(join(root, 'after'), { recursive: true, force: true });
        const running = await startExport(url, join(root, 'after'));
        while (running.process.exitCode === null) {
          if ((await sessions(url, "query LIKE 'COPY %'")) > 0) return running;
          await sleep(1);
        }
        t.match(await running.ended, { code: 0 });
      }
    };
    const running = await reading();
    await query(url, 'TRUNCATE zerver_reaction, zerver_message, zerver_userprofile, zerver_realm CASCADE');
    const ended = await running.ended;
    t.match(ended, { code: 0 });
    t.notMatch(ended.stderr, 'anew');
    t.same(differingPaths(join(root, 'before', 'acme'), join(root, 'after', 'acme')), []);
  });
});

t.test('who waits to change a table while the run begins is let through, and it begins anew', async (t) => {
  const root = t.testdir({});
  await withSource('zulip-11/local', async (source) => {
    const told: string[] = [];
    let change: Promise<unknown> | undefined;
    // The tables are held, and all sessions for the plan but the first are still to come.
    const checkTargets = async (): Promise<void> => {
      if (change !== undefined) return;
      change = query(source.url, 'TRUNCATE zerver_reaction');
      while ((await query(source.url, "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE 'TRUNCATE%'")).rowCount === 0) await sleep(5);
    };
    const onEvent = (event: ExportEvent): void => { if (event.kind === 'warning') told.push(event.text); };
    const outcomes = await exportFrom(source, root, ['acme', 'globex'], { checkTargets, onEvent });
    await change;
    t.match(told, [/begins anew/]);
    t.same(tableFile(only(outcomes.slice(0, 1)).directory, 'realm.json').zerver_reaction, [], 'in a snapshot that has the change');
  });
});
