import { randomBytes } from 'node:crypto';
import { readFile, readdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { withClient } from '../testbed/database-client.js';
import { testData } from '../testbed/test-data.js';
import { withEmptyDatabase, withTestDatabase } from '../testbed/test-database.js';
import { NEEDS_PG_DUMP, backUp, dump, failure, query, restore, withPlace } from './test-backup.js';

t.setTimeout(180_000);

/** The schema file lies in the source tree. */
const AWKWARD = join(testData(), '..', 'backup', 'awkward-schema.sql');

/** The lines of a dump without their order, which parallel loading may change within a table. */
function lines(text: string): string[] {
  return text.split('\n').sort();
}

t.test('the restored database dumps as its source', NEEDS_PG_DUMP, async (t) => {
  await withTestDatabase('zulip-11/local', (source) => withEmptyDatabase((target) => withPlace(async (place) => {
    const backup = await backUp(source, place);
    t.match(backup, { tables: 116, removed: [], unfinished: [], proved: false });
    const restored = await restore(backup.location, place, target);
    t.match(restored, { tables: backup.tables, rows: backup.rows, resumed: 0, warnings: [] });
    t.equal(await dump(target, '--schema-only'), await dump(source, '--schema-only'));
    t.strictSame(lines(await dump(target, '--data-only')), lines(await dump(source, '--data-only')));
  })));
});

t.test('a schema with every trap', NEEDS_PG_DUMP, async (t) => {
  const role = `odd role ${randomBytes(4).toString('hex')}`;
  await withEmptyDatabase((source) => withEmptyDatabase((target) => withPlace(async (place) => {
    await query(source, await readFile(AWKWARD, 'utf8'));
    await query(source, `CREATE ROLE "${role}"`);
    const database = new URL(source).pathname.slice(1);
    await query(source, `
      ALTER TABLE zulip.large OWNER TO "${role}";
      GRANT SELECT (words), UPDATE (flag) ON zulip.every_type TO "${role}" WITH GRANT OPTION;
      ALTER DEFAULT PRIVILEGES IN SCHEMA zulip GRANT SELECT ON TABLES TO "${role}";
      ALTER LARGE OBJECT 4200000001 OWNER TO "${role}";
      GRANT SELECT ON LARGE OBJECT 4200000003 TO "${role}" WITH GRANT OPTION;
      SET SESSION AUTHORIZATION "${role}"; GRANT SELECT ON LARGE OBJECT 4200000003 TO PUBLIC; RESET SESSION AUTHORIZATION;
      REVOKE UPDATE ON LARGE OBJECT 4200000002 FROM postgres;
      CREATE POLICY theirs ON zulip.secret TO "${role}" USING (true);
      ALTER DATABASE "${database}" SET search_path = zulip, "Odd ""schema"".name";
      ALTER DATABASE "${database}" SET statement_timeout = '5min';
      ALTER ROLE "${role}" IN DATABASE "${database}" SET role = 'pg_monitor'; ALTER ROLE "${role}" IN DATABASE "${database}" SET search_path = "$user", zulip;
      REVOKE ALL ON DATABASE "${database}" FROM PUBLIC; GRANT CONNECT ON DATABASE "${database}" TO "${role}" WITH GRANT OPTION; GRANT TEMPORARY ON DATABASE "${database}" TO PUBLIC;
      COMMENT ON DATABASE "${database}" IS 'It''s "the" database'`);

    const backup = await backUp(source, place, { pgDump: await laterPgDump(place.directory) });
    t.match(await restore(place.to, place, target), { rows: backup.rows, warnings: [] });

    t.equal(await dump(target, '--schema-only'), await dump(source, '--schema-only'), 'schema');
    const data = ['--data-only', '--exclude-table-data=zulip.by_enum*'];
    t.strictSame(lines(await dump(target, ...data)), lines(await dump(source, ...data)), 'rows, sequences and large objects');
    const largeObjects = `SELECT oid, pg_get_userbyid(lomowner) AS owner, lomacl::text AS rights, obj_description(oid, 'pg_largeobject') AS comment FROM pg_largeobject_metadata ORDER BY oid`;
    t.match(await query(source, largeObjects), [{ owner: role }, { comment: 'a large object' }, { rights: /"=r\/\\"/ }], 'each is another trap');
    for (const select of ['SELECT m::text, n, note FROM zulip.by_enum ORDER BY m, n', 'SELECT * FROM zulip.second_copy', largeObjects]) {
      t.strictSame(await query(target, select), await query(source, select), select);
    }
    const properties = `SELECT datacl::text AS rights, shobj_description(d.oid, 'pg_database') AS comment,
      (SELECT json_agg(setconfig ORDER BY setrole) FROM pg_db_role_setting WHERE setdatabase = d.oid) AS settings FROM pg_database d WHERE datname = current_database()`;
    const [found] = await query(source, properties);
    t.match(found, { rights: /=c\*[^]*,=T\//, comment: 'It\'s "the" database', settings: [['search_path=zulip, "Odd ""schema"".name"', 'statement_timeout=5min'], ['role=pg_monitor', 'search_path="$user", zulip']] });
    t.strictSame(await query(target, properties), [found], 'settings of the database, rights on it and its comment');

    await withEmptyDatabase(async (other) => {
      await query(source, `DROP OWNED BY "${role}" CASCADE`);
      await query(target, `DROP OWNED BY "${role}" CASCADE`);
      await query(source, `DROP ROLE "${role}"`);
      const error = await failure(restore(place.to, place, other));
      t.match(error, { code: 'ROLE_MISSING' });
      t.match(error.message, role);
      t.strictSame(await query(other, `SELECT nspname FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema$|public$)'`), [], 'nothing was begun');
      await restore(place.to, place, other, { createRoles: true });
      await query(other, `DROP OWNED BY "${role}" CASCADE; DROP ROLE "${role}"`);
    });
  })));
});

t.test('a tablespace that the server lacks', NEEDS_PG_DUMP, async (t) => {
  const space = `odd "space" ${randomBytes(4).toString('hex')} ü`;
  const quoted = `"${space.replaceAll('"', '""')}"`;
  await withEmptyDatabase((source) => withEmptyDatabase((target) => withPlace(async (place) => {
    await withClient(source, async (client) => {
      await client.query('SET allow_in_place_tablespaces = on');
      await client.query(`CREATE TABLESPACE ${quoted} LOCATION ''`);
    });
    await query(source, `
      CREATE FUNCTION a() RETURNS void LANGUAGE plpgsql AS $$ BEGIN
SET default_tablespace = nowhere;
END $$;
      CREATE TABLE b (n integer PRIMARY KEY) TABLESPACE ${quoted};
      INSERT INTO b VALUES (1);
      CREATE TABLE c (n integer);
      CREATE INDEX d ON c (n) TABLESPACE ${quoted};`);
    const before = await dump(source);
    const backup = await backUp(source, place);
    await query(source, 'DROP TABLE b, c');
    await query(source, `DROP TABLESPACE ${quoted}`);
    const { warnings } = await restore(backup.location, place, target);
    t.strictSame(warnings, [`the server has no tablespace ${space}: what was in it is in the database's own`]);
    const withoutPlaces = (script: string): string => script.replace(/; Tablespace: .*/g, '').replace(/^SET default_tablespace = .*;\n/gm, '').replace(/\n+/g, '\n');
    t.strictSame(withoutPlaces(await dump(target)).split('\n'), withoutPlaces(before).split('\n'));
  })));
});

/** A pg_dump that sets what only later servers know, as that of PostgreSQL 17 does. */
async function laterPgDump(directory: string): Promise<string> {
  const program = join(directory, 'pg_dump');
  await writeFile(program, `#!/bin/sh
case $1 in --version) exec pg_dump --version;; esac
pg_dump "$@" | awk '{ print } /^SET lock_timeout = 0;$/ { print "SET later_timeout = 0;" }'
`, { mode: 0o755 });
  return program;
}

t.test('large tables are cut into ranges, and every row is in one of them', NEEDS_PG_DUMP, async (t) => {
  await withEmptyDatabase((source) => withEmptyDatabase((target) => withPlace(async (place) => {
    // 90 MB, above the size of one part.
    await query(source, `CREATE TABLE wide (id integer, filler text); ALTER TABLE wide ALTER filler SET STORAGE PLAIN;
      INSERT INTO wide SELECT g, repeat('x', 900) FROM generate_series(1, 90000) g`);
    const backup = await backUp(source, place);
    t.equal(backup.rows, 90000);
    t.equal((await readdir(join(backup.location, 'rows'))).length, 2);
    await restore(backup.location, place, target);
    const [{ n, ids }] = (await query<{ n: string; ids: string }>(target, 'SELECT count(*) AS n, count(DISTINCT id) AS ids FROM wide')) as [{ n: string; ids: string }];
    t.strictSame([n, ids], ['90000', '90000']);
  })));
});

t.test('one snapshot: what is written meanwhile is not half there', NEEDS_PG_DUMP, async (t) => {
  await withEmptyDatabase((source) => withEmptyDatabase((target) => withPlace(async (place) => {
    await query(source, 'CREATE TABLE a (n integer); CREATE TABLE b (n integer); INSERT INTO a VALUES (0); INSERT INTO b VALUES (0)');
    let going = true;
    const writing = (async () => {
      for (let n = 1; going; n++) await query(source, `BEGIN; INSERT INTO a VALUES (${n}); INSERT INTO b VALUES (${n}); COMMIT`);
    })();
    const backup = await backUp(source, place);
    going = false;
    await writing;
    await restore(backup.location, place, target);
    const [counts] = await query<{ a: string; b: string }>(target, 'SELECT (SELECT count(*) FROM a) AS a, (SELECT count(*) FROM b) AS b');
    t.equal(counts?.a, counts?.b);
  })));
});

t.test('files are private, and all but the clear list is age', NEEDS_PG_DUMP, async (t) => {
  await withEmptyDatabase((source) => withPlace(async (place) => {
    await query(source, 'CREATE TABLE one AS SELECT 1 AS n; CREATE TABLE two AS SELECT 2 AS n; SELECT lo_from_bytea(0, 3::text::bytea)');
    const umask = process.umask(0);
    const { location } = await backUp(source, place).finally(() => process.umask(umask));
    for (const entry of await readdir(place.to, { recursive: true, withFileTypes: true })) {
      const path = join(entry.parentPath, entry.name);
      const mode = (await stat(path)).mode & 0o777;
      t.equal(mode, entry.isDirectory() ? 0o700 : 0o600, path.slice(place.to.length));
      if (entry.isDirectory() || entry.name.startsWith('backup.json')) continue;
      t.equal((await readFile(path)).subarray(0, 22).toString('latin1'), 'age-encryption.org/v1\n');
    }
    t.equal((await stat(place.to)).mode & 0o777, 0o700);
    const clear = JSON.parse(await readFile(join(location, 'backup.json'), 'utf8')) as { parts: object[] };
    t.strictSame(Object.keys(clear), ['format', 'id', 'takenAt', 'database', 'contents', 'parts']);
    for (const part of clear.parts) t.strictSame(Object.keys(part), ['name', 'bytes', 'sha256']);
  }));
});

t.test('private names tell nothing', NEEDS_PG_DUMP, async (t) => {
  await withTestDatabase('zulip-8/local', (source) => withEmptyDatabase((target) => withPlace(async (place) => {
    const { location, rows } = await backUp(source, place, { privateNames: true, compression: { method: 'zstd', level: 3 } });
    for (const name of await readdir(location)) t.match(name, /^(part-\d{6}\.age|backup\.json(\.sha256)?)$/);
    t.notMatch(await readFile(join(location, 'backup.json'), 'utf8'), /zerver|analytics|message/);
    t.equal((await restore(location, place, target)).rows, rows);
  })));
});
