/** Restores by a role that is no superuser, into a database of its own. */
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { testData } from '../testbed/test-data.js';
import { withEmptyDatabase } from '../testbed/test-database.js';
import { realmlift } from './command-line.js';
import { NEEDS_PG_DUMP, backUp, dump, query, withPlace } from './test-backup.js';

t.setTimeout(180_000);

const AWKWARD = join(testData(), '..', 'backup', 'awkward-schema.sql');

/** Runs `work` with a role that can log in, and an empty database that it owns. */
async function withOwner(work: (url: string, role: string) => Promise<void>): Promise<void> {
  await withEmptyDatabase(async (target) => {
    const role = `owner ${randomBytes(4).toString('hex')}`;
    const url = new URL(target);
    await query(target, `CREATE ROLE "${role}" LOGIN PASSWORD 'x'; ALTER DATABASE "${url.pathname.slice(1)}" OWNER TO "${role}"`);
    url.username = encodeURIComponent(role);
    url.password = 'x';
    try {
      await work(url.href, role);
    } finally {
      await query(target, `ALTER DATABASE "${url.pathname.slice(1)}" OWNER TO postgres; DROP OWNED BY "${role}" CASCADE; DROP ROLE "${role}"`);
    }
  });
}

t.test('everything belongs to the role that restores', NEEDS_PG_DUMP, async (t) => {
  const other = `other ${randomBytes(4).toString('hex')}`;
  await withEmptyDatabase((source) => withPlace(async (place) => {
    await query(source, await readFile(AWKWARD, 'utf8'));
    await query(source, `
      CREATE ROLE "${other}"; ALTER TABLE zulip.large OWNER TO "${other}"; GRANT SELECT (words) ON zulip.every_type TO "${other}"; GRANT SELECT ON LARGE OBJECT 4200000003 TO "${other}";
      ALTER DEFAULT PRIVILEGES IN SCHEMA zulip GRANT SELECT ON TABLES TO "${other}";
      CREATE TABLE zulip."x OWNER TO y;" (a text DEFAULT 'ALTER TABLE a OWNER TO b;'); COMMENT ON TABLE zulip."x OWNER TO y;" IS E'\\nGRANT SELECT ON a TO b;\\n';
      CREATE FUNCTION zulip.granting() RETURNS text LANGUAGE plpgsql AS $$BEGIN\nGRANT SELECT ON a TO b;\nALTER TABLE a OWNER TO b;\nEND$$`);
    await query(source, `
      CREATE FUNCTION zulip.ddl() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'; CREATE EVENT TRIGGER any_ddl ON ddl_command_end EXECUTE FUNCTION zulip.ddl()`);
    await backUp(source, place);
    await withOwner(async (target) => {
      const words = ['restore', place.to, '--identity', place.identityFile, '--database-url', target];
      await query(source, `REASSIGN OWNED BY "${other}" TO postgres; DROP OWNED BY "${other}"; DROP ROLE "${other}"`);
      t.match(await realmlift(words), { code: 1, stderr: /ROLE_MISSING \[restore\].*--no-owner/ });
      const restored = await realmlift([...words, '--no-owner', '--no-privileges']);
      t.match(restored, { code: 4, stderr: /EVENT TRIGGER any_ddl was not restored.*\n.*PUBLICATION everything was not restored|PUBLICATION everything was not restored.*\n.*EVENT TRIGGER any_ddl was not restored/ }, restored.stderr);
    });
    await withOwner(async (target) => {
      // By the rights of a superuser nothing is lacking but owners and rights.
      await query(source, 'DROP EVENT TRIGGER any_ddl; DROP PUBLICATION everything');
      const restored = await realmlift(['restore', place.to, '--identity', place.identityFile, '--database-url', target, '--no-owner', '--no-privileges', '--jobs', '2']);
      t.equal(restored.code, 4, restored.stderr);
      const comparable = ['--no-owner', '--no-privileges', '--schema-only'];
      // The comment of an extension is its own.
      t.equal(await dump(target, ...comparable), await dump(source, ...comparable));
      t.strictSame(await query(target, 'SELECT DISTINCT tableowner = current_user AS mine FROM pg_tables WHERE schemaname = \'zulip\''), [{ mine: true }]);
      t.strictSame(await query(target, 'SELECT count(*)::int AS n FROM zulip.large'), await query(source, 'SELECT count(*)::int AS n FROM zulip.large'));
    });
  }));
});

t.test('hints are true for the role', NEEDS_PG_DUMP, async (t) => {
  await withEmptyDatabase((source) => withPlace(async (place) => {
    await query(source, 'CREATE TABLE a (n integer)');
    await backUp(source, place);
    await withOwner(async (target, role) => {
      const words = ['restore', place.to, '--identity', place.identityFile, '--database-url', target];
      t.match(await realmlift(words), { code: 1, stderr: /SCHEMA_REFUSED \[restore\]: the server refuses the schema \(TABLE a\): .*\(42501\) \(--no-owner --no-privileges leaves everything to the role/ });
      t.match(await realmlift([...words, '--no-owner', '--no-privileges']), { code: 0, stderr: '' }, 'and is of use');
      t.strictSame(await query(target, 'SELECT tableowner AS owner FROM pg_tables WHERE tablename = \'a\''), [{ owner: role }]);
    });
  }));
  await withEmptyDatabase((source) => withEmptyDatabase((target) => withPlace(async (place) => {
    await query(source, 'CREATE TABLE a (n integer)');
    await backUp(source, place);
    const role = `guest_${randomBytes(4).toString('hex')}`;
    await query(target, `CREATE ROLE ${role} LOGIN PASSWORD 'x'`);
    const url = new URL(target);
    Object.assign(url, { username: role, password: 'x' });
    t.match(await realmlift(['restore', place.to, '--identity', place.identityFile, '--database-url', url.href, '--no-owner']), { code: 1, stderr: /RIGHT_MISSING \[restore\]: .*\(.*CREATE ON DATABASE/ });
    await query(target, `DROP ROLE ${role}`);
  })));
});
