/** What the source may set against a backup: rights, policies, locks, and servers without scans of a range of blocks. */
import { randomBytes } from 'node:crypto';
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import t from 'tap';
import { isBackupName } from '../../src/backup/contents/part-names.js';
import { portableTypes } from '../../src/backup/source/portable-types.js';
import { rowQuery } from '../../src/backup/source/row-query.js';
import { sequenceValues, sourceTables, tablesToHold } from '../../src/backup/source/source-catalog.js';
import { rangeConditions } from '../../src/backup/source/table-ranges.js';
import { verifyBackup } from '../../src/backup/verify-backup.js';
import { startPostgres } from '../../src/demo/postgres-server.js';
import { withNarrator, type Narrator } from '../../src/narration.js';
import { connect } from '../../src/snapshot/connect.js';
import { connectionSettings } from '../../src/snapshot/connection-settings.js';
import { withClient } from '../testbed/database-client.js';
import { PRIMARY, startStandby } from '../testbed/standby-server.js';
import { withEmptyDatabase } from '../testbed/test-database.js';
import { NEEDS_PG_DUMP, backUp, failure, query, restore, withPlace } from './test-backup.js';

t.setTimeout(120_000);
// Most of their time they wait for locks.
t.jobs = 3;

/** Runs `work` with the URL of a role without special rights. */
async function withRole(source: string, rights: string, work: (url: string, role: string) => Promise<void>): Promise<void> {
  const role = `reader_${randomBytes(4).toString('hex')}`;
  await query(source, `CREATE ROLE ${role} LOGIN PASSWORD 'x' ${rights}`);
  try {
    const url = new URL(source);
    url.username = role;
    url.password = 'x';
    await work(url.href, role);
  } finally {
    await query(source, `DROP OWNED BY ${role} CASCADE; DROP ROLE ${role}`);
  }
}

t.test('a role that may not read everything', { ...NEEDS_PG_DUMP, buffered: true }, async (t) => {
  await withEmptyDatabase((source) => withPlace(async (place) => {
    await query(source, `CREATE TABLE open (n serial); CREATE TABLE closed (n integer); GRANT SELECT ON open, open_n_seq TO PUBLIC`);
    await withRole(source, '', async (url, role) => {
      t.match(await failure(backUp(url, place)), { code: 'RIGHT_MISSING', message: /public\.closed/, hint: /pg_read_all_data/ });
      await query(source, `GRANT pg_read_all_data TO ${role}`);
      t.match(await backUp(url, place), { tables: 2 }, 'with that right it can');
      await query(source, 'SELECT lo_create(4250000000)');
      t.match(await backUp(url, place), { tables: 2 }, 'also large objects');
    });
  }));
});

t.test('a policy that would hide rows is an error, not a gap', { ...NEEDS_PG_DUMP, buffered: true }, async (t) => {
  await withEmptyDatabase((source) => withPlace(async (place) => {
    await query(source, `CREATE TABLE own (owner name); INSERT INTO own VALUES ('a'), ('b'); ALTER TABLE own ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON own USING (owner = current_user)`);
    await withRole(source, '', async (url, role) => {
      await query(source, `GRANT pg_read_all_data TO ${role}`);
      const error = await failure(backUp(url, place));
      t.match(error, { code: /RIGHT_MISSING|PG_DUMP_FAILED/ });
      t.match(error.message, /row-level security/);
      await query(source, `ALTER ROLE ${role} BYPASSRLS`);
      t.match(await backUp(url, place), { rows: 2 });
    });
  }));
});

t.test('no table changes its structure, or is emptied, in the midst of a backup', { ...NEEDS_PG_DUMP, buffered: true }, async (t) => {
  await withEmptyDatabase((source) => withEmptyDatabase((target) => withPlace(async (place) => {
    await query(source, `CREATE TABLE big AS SELECT g AS id, repeat('x', 500) AS filler FROM generate_series(1, 60000) g; CREATE TABLE victim AS SELECT g AS id FROM generate_series(1, 1000) g`);
    const gate = join(place.directory, 'gate');
    const backup = backUp(source, place, { jobs: 1, pgDump: await gatedDump(place.directory, `pg_dump "$@"; : > '${gate}'.$$; ${until(gate)}`) });
    // Both calls of pg_dump have read everything, and the session that copies holds its tables.
    while ((await readdir(place.directory)).filter((name) => name.startsWith('gate.')).length < 2) await sleep(2);
    while (!(await readdir(place.to, { recursive: true }).catch(() => [])).some((name) => name.includes('rows/'))) await sleep(2);
    const truncated = await truncation(source);
    await writeFile(gate, '');
    t.match(await backup, { rows: 61_000 }, 'the TRUNCATE had to wait');
    await truncated.done;
    await restore(place.to, place, target);
    t.strictSame(await query(target, 'SELECT count(*)::int AS n FROM victim'), [{ n: 1000 }]);
  })));
});

t.test('somebody who waits to change a table just as a backup begins is let through, and the backup begins anew', { ...NEEDS_PG_DUMP, buffered: true }, async (t) => {
  await withEmptyDatabase((source) => withPlace(async (place) => {
    await query(source, 'CREATE TABLE victim AS SELECT g AS id FROM generate_series(1, 1000) g');
    const gate = join(place.directory, 'gate');
    const backup = backUp(source, place, { jobs: 1, pgDump: await gatedDump(place.directory, `${until(gate)}; exec pg_dump "$@"`) });
    await withClient(source, async (client) => {
      while ((await locksOf(client, 'AccessShareLock')) < 1) await sleep(2);
    });
    // pg_dump has its locks still to take, and gets to it when the other session waits.
    await truncation(source);
    await writeFile(gate, '');
    t.match(await backup, { rows: 0 }, 'in a new snapshot');
    t.match(await verifyBackup(place.to, process.env, { identityFile: place.identityFile }, 1), { rows: 0 });
    t.equal((await readdir(place.to)).filter(isBackupName).length, 1, 'of the first attempt nothing is left');
  }));
});

/** A TRUNCATE that waits for its lock. */
async function truncation(source: string): Promise<{ readonly done: Promise<unknown> }> {
  const done = query(source, 'TRUNCATE victim');
  await withClient(source, async (client) => {
    while ((await locksOf(client, 'AccessExclusiveLock')) < 1) await sleep(2);
  });
  return { done };
}

/** Locks of this mode upon the table, held or waited for. */
async function locksOf(client: pg.Client, mode: string): Promise<number> {
  return (await client.query(`SELECT FROM pg_locks WHERE relation = to_regclass('victim') AND mode = $1`, [mode])).rowCount ?? 0;
}

/** A pg_dump that does this unless it is asked its version. */
async function gatedDump(directory: string, commands: string): Promise<string> {
  const program = join(directory, 'pg_dump');
  await writeFile(program, `#!/bin/sh\ncase $1 in --version) exec pg_dump "$@";; esac\n${commands}\n`, { mode: 0o755 });
  return program;
}

/** Shell commands that wait until the file is there. */
function until(file: string): string {
  return `while [ ! -e '${file}' ]; do sleep 0.05; done`;
}

t.test('what was dropped since the snapshot is no want of a right: the backup begins anew', async (t) => {
  await withEmptyDatabase((source) => withClient(source, async (client) => {
    await query(source, 'CREATE SEQUENCE dropped; CREATE SEQUENCE renamed; CREATE TABLE gone (n integer)');
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1; SAVEPOINT looked');
    await query(source, 'DROP TABLE gone; ALTER SEQUENCE renamed RENAME TO other');
    t.equal((await tablesToHold(client)).length, 1, 'whoever holds them tells that it is gone');
    t.match(await failure(sequenceValues(client)), { code: 'TABLE_CHANGED', message: /renamed was dropped or renamed/ });
    await client.query('ROLLBACK TO SAVEPOINT looked');
    await query(source, 'DROP SEQUENCE dropped');
    t.match(await failure(sequenceValues(client)), { code: 'TABLE_CHANGED', message: /public\.dropped was dropped/ });
  }));
});

t.test('a hot standby has no rows of unlogged tables: these stay behind, as with pg_dump, and that is told', { ...NEEDS_PG_DUMP, buffered: true }, async (t) => {
  const primary = await startPostgres(PRIMARY);
  t.teardown(() => primary.stop());
  await query(primary.url('postgres'), `CREATE TABLE kept (n integer); INSERT INTO kept VALUES (1), (2);
    CREATE UNLOGGED TABLE fleeting (n integer GENERATED ALWAYS AS IDENTITY); INSERT INTO fleeting DEFAULT VALUES`);
  const standby = await startStandby(primary, {});
  t.teardown(() => standby.stop());
  await withEmptyDatabase((target) => withPlace(async (place) => {
    const warnings: string[] = [];
    const narrator: Narrator = { ahead: () => undefined, phase: () => undefined, total: () => undefined, advance: () => undefined, waiting: () => undefined, warning: (text) => warnings.push(text) };
    const backup = await withNarrator(narrator, () => backUp(standby.url('postgres'), place));
    const unlogged = [{ schema: 'public', name: 'fleeting' }, { schema: 'public', name: 'fleeting_n_seq' }];
    t.match(backup, { tables: 1, rows: 2, unlogged });
    t.match(warnings, [/public\.fleeting, public\.fleeting_n_seq$/]);
    t.match(await restore(place.to, place, target), { tables: 1, rows: 2, warnings: [/public\.fleeting, public\.fleeting_n_seq$/] });
    t.strictSame(await query(target, 'INSERT INTO fleeting DEFAULT VALUES RETURNING n'), [{ n: 1 }], 'the table is there, empty');
    const { unlogged: none, rows } = await backUp(primary.url('postgres'), place);
    t.strictSame([none, rows], [undefined, 3], 'a primary has its rows');
  }));
});

t.test('before PostgreSQL 14 a large table is cut by its key', async (t) => {
  await withEmptyDatabase(async (source) => {
    await query(source, `
      CREATE TABLE keyed (id bigint PRIMARY KEY, n integer); INSERT INTO keyed SELECT g * g - 50, g FROM generate_series(-300, 300) g ON CONFLICT DO NOTHING;
      CREATE TABLE named (name text PRIMARY KEY); CREATE TABLE empty (id integer PRIMARY KEY)`);
    const client = await connect(connectionSettings(source, {}), 'test');
    try {
      const tables = new Map((await sourceTables(client, 130000, await portableTypes(client))).map((table) => [table.name, table]));
      t.match(tables.get('keyed'), { blocks: 0, key: { column: 'id', least: -50n, greatest: 89950n } });
      t.strictSame([tables.get('named')?.key, tables.get('empty')?.key], [undefined, undefined]);
      const keyed = tables.get('keyed') as NonNullable<ReturnType<typeof tables.get>>;
      const conditions = rangeConditions(keyed, (name) => client.escapeIdentifier(name), 8192);
      t.ok(conditions.length > 3);
      let rows = 0;
      for (const condition of conditions) rows += (await client.query(rowQuery(client, keyed, condition))).rowCount ?? 0;
      t.equal(rows, 301);
      t.ok((await sourceTables(client, 140000, await portableTypes(client))).every(({ key }) => key === undefined), 'later ones by their blocks');
    } finally {
      await client.end();
    }
  });
});
