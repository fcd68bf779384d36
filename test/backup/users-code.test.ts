/** Schemas whose own code could stand in the way of their restore: constraints that need others, functions, event triggers. */
import t from 'tap';
import type { Test } from 'tap';
import { withEmptyDatabase } from '../testbed/test-database.js';
import { NEEDS_PG_DUMP, backUp, dump, failure, query, restore, withPlace } from './test-backup.js';
import type { Place } from './test-backup.js';

t.setTimeout(180_000);

/** Restores what `sql` made, and compares dumps. `work` is given the restored database as well. */
async function comesBack(t: Test, sql: string, jobs: number, work: (target: string, source: string, place: Place) => Promise<void> = () => Promise.resolve()): Promise<void> {
  await withEmptyDatabase((source) => withEmptyDatabase((target) => withPlace(async (place) => {
    await query(source, sql.replaceAll('DATABASE_NAME', new URL(source).pathname.slice(1)));
    await backUp(source, place);
    t.match(await restore(place.to, place, target, { jobs }), { resumed: 0, warnings: [] });
    t.equal(await dump(target), await dump(source), `as the source, by ${jobs} sessions`);
    await work(target, source, place);
  })));
}

t.test('a reference waits for the key that it refers to, however large its table', NEEDS_PG_DUMP, async (t) => {
  const sql = `
    CREATE TABLE parent (id integer PRIMARY KEY, code text UNIQUE); INSERT INTO parent VALUES (1, 'a');
    CREATE TABLE child (a integer REFERENCES parent (id), b text REFERENCES parent (code)); INSERT INTO child SELECT 1, 'a' FROM generate_series(1, 10000) g;
    CREATE TABLE tree (id integer PRIMARY KEY, above integer REFERENCES tree); INSERT INTO tree SELECT g, nullif(g / 2, 0) FROM generate_series(1, 3000) g`;
  const partitioned = `
    CREATE TABLE days (day date, n integer, PRIMARY KEY (day, n)) PARTITION BY RANGE (day);
    CREATE TABLE days_1 PARTITION OF days FOR VALUES FROM ('2024-01-01') TO ('2024-02-01'); CREATE TABLE days_2 PARTITION OF days DEFAULT;
    INSERT INTO days SELECT '2024-01-20'::date + g, g FROM generate_series(1, 30) g;
    CREATE TABLE events (day date, n integer, body text, FOREIGN KEY (day, n) REFERENCES days) PARTITION BY HASH (n);
    CREATE TABLE events_0 PARTITION OF events FOR VALUES WITH (MODULUS 2, REMAINDER 0); CREATE TABLE events_1 PARTITION OF events FOR VALUES WITH (MODULUS 2, REMAINDER 1);
    INSERT INTO events SELECT day, n, repeat('x', 500) FROM days, generate_series(1, 20); CREATE INDEX ON events (body)`;
  for (const jobs of [1, 4]) await comesBack(t, sql, jobs);
  await comesBack(t, partitioned, 4);
});

t.test('functions that name nothing with a schema', NEEDS_PG_DUMP, async (t) => {
  await comesBack(t, `
    CREATE SCHEMA own; ALTER DATABASE "DATABASE_NAME" SET search_path = own, public;
    SET search_path = own, public;
    CREATE TABLE factors (n integer); INSERT INTO factors VALUES (3);
    CREATE FUNCTION inner_half(n integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT n / 2';
    CREATE FUNCTION half(n integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT inner_half(n)';
    CREATE FUNCTION half_p(n integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN inner_half(n); END';
    CREATE FUNCTION known_factor(n integer) RETURNS boolean LANGUAGE plpgsql STABLE AS 'BEGIN RETURN n % (SELECT factors.n FROM factors) = 0; END';
    CREATE DOMAIN multiple AS integer CHECK (known_factor(VALUE));
    CREATE TABLE a (n integer CHECK (half(n) < 100), m integer CHECK (half_p(m) < 100), d multiple,
      g integer GENERATED ALWAYS AS (half(n)) STORED, p integer GENERATED ALWAYS AS (half_p(m)) STORED);
    INSERT INTO a SELECT g, g, g * 3 FROM generate_series(1, 100) g;
    CREATE INDEX inlined ON a (half(n)); CREATE INDEX called ON a (half_p(n)); CREATE INDEX partial ON a (m) WHERE half(m) > 10;
    CREATE TABLE parts (n integer) PARTITION BY RANGE (half(n)); CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (1000);
    INSERT INTO parts SELECT g FROM generate_series(1, 100) g;
    CREATE MATERIALIZED VIEW filled AS SELECT half_p(n) AS h FROM a`, 2, async (target) => {
    t.strictSame(await query(target, 'SELECT count(*)::int AS n FROM own.filled WHERE h = 10'), [{ n: 2 }]);
    t.strictSame(await query(target, 'SELECT sum(g)::int AS g, sum(p)::int AS p FROM own.a'), [{ g: 2500, p: 2500 }]);
  });
});

t.test('a CHECK that reads another table', NEEDS_PG_DUMP, async (t) => {
  await comesBack(t, `
    SET check_function_bodies = off; CREATE TABLE z_kinds (name text); INSERT INTO z_kinds VALUES ('good');
    CREATE FUNCTION public.known(kind text) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN IF NOT EXISTS (SELECT FROM public.z_kinds WHERE name = kind) THEN RAISE ''no such kind''; END IF; RETURN true; END';
    CREATE FUNCTION public.of_thing(number integer) RETURNS boolean LANGUAGE sql AS 'SELECT EXISTS (SELECT FROM public.m_things WHERE n = number)';
    CREATE TABLE m_things (n integer, kind text CHECK (public.known(kind))); INSERT INTO m_things SELECT g, 'good' FROM generate_series(1, 2000) g;
    CREATE TABLE a_parts (n integer CHECK (public.of_thing(n)), filler text); INSERT INTO a_parts SELECT 1 + g % 2000, repeat('x', 100) FROM generate_series(1, 2000) g`, 1);
  await withEmptyDatabase((source) => withEmptyDatabase((target) => withPlace(async (place) => {
    await query(source, `
      CREATE TABLE kinds (name text); INSERT INTO kinds VALUES ('good');
      CREATE FUNCTION public.known(kind text) RETURNS boolean LANGUAGE sql AS 'SELECT EXISTS (SELECT FROM public.kinds WHERE name = kind)';
      CREATE TABLE things (kind text CHECK (public.known(kind))); INSERT INTO things VALUES ('good');
      DELETE FROM kinds;
      CREATE SCHEMA own; CREATE TABLE own.words (word text); INSERT INTO own.words VALUES ('yes');
      SET search_path = own; CREATE FUNCTION own.is_word(text) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RETURN $1 IN (SELECT word FROM words); END';
      CREATE TABLE own.said (word text CHECK (own.is_word(word))); INSERT INTO own.said VALUES ('yes')`);
    await backUp(source, place);
    const hints: Readonly<Record<string, readonly [hint: RegExp, cure: string]>> = {
      'public.things': [/drop the constraint/, 'ALTER TABLE things DROP CONSTRAINT things_kind_check'],
      'own.said': [/ALTER FUNCTION … SET search_path/, 'ALTER FUNCTION own.is_word(text) SET search_path = own'],
    };
    for (let n = 0; n < 2; n++) {
      const error = await failure(restore(place.to, place, target));
      const [hint, cure] = hints[error.table ?? ''] ?? [];
      t.match(error, { code: 'ROWS_REFUSED', stage: 'restore', message: /23514.*things_kind_check|42P01.*words/, hint }, 'one that no order fulfils is an error');
      await query(target, cure ?? '');
    }
    t.match(await restore(place.to, place, target), { rows: 3, warnings: [] }, 'once mended as the hints say it goes on');
  })));
});

t.test('event triggers come last, and see nothing of the restore', NEEDS_PG_DUMP, async (t) => {
  await comesBack(t, `
    CREATE TABLE a (n integer PRIMARY KEY); CREATE TABLE log (tag text);
    CREATE FUNCTION write_down() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.log VALUES (tg_tag); END';
    CREATE FUNCTION forbid() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''no DDL: %'', tg_tag; END';
    CREATE MATERIALIZED VIEW filled AS SELECT count(*) AS n FROM a;
    ALTER DATABASE "DATABASE_NAME" SET default_transaction_read_only = on; SET default_transaction_read_only = off;
    CREATE EVENT TRIGGER writes ON ddl_command_end EXECUTE FUNCTION write_down();
    CREATE EVENT TRIGGER drops ON sql_drop EXECUTE FUNCTION write_down();
    CREATE EVENT TRIGGER forbids ON ddl_command_start EXECUTE FUNCTION forbid();
    COMMENT ON EVENT TRIGGER forbids IS 'a comment'; ALTER EVENT TRIGGER drops DISABLE`, 2, async (target) => {
    t.strictSame(await query(target, 'SELECT * FROM log'), []);
    t.strictSame(await query(target, 'SELECT evtname, evtenabled FROM pg_event_trigger ORDER BY 1'), [{ evtname: 'drops', evtenabled: 'D' }, { evtname: 'forbids', evtenabled: 'O' }, { evtname: 'writes', evtenabled: 'O' }]);
    await t.rejects(query(target, 'BEGIN READ WRITE; CREATE TABLE b (n integer)'), /no DDL: CREATE TABLE/);
  });
});

t.test('what the server refuses stops nothing else, and is named', NEEDS_PG_DUMP, async (t) => {
  await withEmptyDatabase((source) => withEmptyDatabase((target) => withPlace(async (place) => {
    await query(source, `
      CREATE TABLE numbers (n integer); INSERT INTO numbers VALUES (0), (1);
      CREATE FUNCTION public.inverse(n integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT n';
      CREATE INDEX by_inverse ON numbers (public.inverse(n)); CREATE INDEX plain ON numbers (n);
      CREATE OR REPLACE FUNCTION public.inverse(n integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT 1 / n';
      CREATE TABLE parent (id integer PRIMARY KEY); CREATE TABLE child (a integer REFERENCES parent); INSERT INTO child VALUES (NULL);
      SET session_replication_role = replica; INSERT INTO child VALUES (7)`);
    await backUp(source, place);
    const error = await failure(restore(place.to, place, target));
    t.match(error, { code: 'SCHEMA_REFUSED', stage: 'restore', hint: /run the restore again/ });
    t.match(error.message, /INDEX by_inverse.*22012.*FK CONSTRAINT child child_a_fkey.*23503/);
    t.match(await query(target, 'SELECT indexname FROM pg_indexes WHERE schemaname = \'public\' ORDER BY 1'), [{ indexname: 'parent_pkey' }, { indexname: 'plain' }], 'the others are there');
    await query(target, 'DELETE FROM numbers WHERE n = 0; INSERT INTO parent VALUES (7)');
    t.match(await restore(place.to, place, target), { warnings: [] }, 'once mended it goes on');
    t.match(await query(target, 'SELECT count(*)::int AS n FROM pg_constraint WHERE conname = \'child_a_fkey\''), [{ n: 1 }]);
  })));
});

t.test('a disk of the server that is full', NEEDS_PG_DUMP, async (t) => {
  await withEmptyDatabase((source) => withEmptyDatabase((target) => withPlace(async (place) => {
    const functions = (body: string): string => ['row', 'key'].map((name) => `CREATE OR REPLACE FUNCTION public.${name}_room(n integer) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN ${body} RETURN true; END';`).join('\n');
    await query(source, `${functions('')} CREATE TABLE numbers (n integer CHECK (public.row_room(n))); INSERT INTO numbers VALUES (1); CREATE INDEX by_room ON numbers (public.key_room(n));
      ${functions("RAISE disk_full USING MESSAGE = ''No space left'';")}`);
    await backUp(source, place);
    const hint = 'make room on the disk of the database server, then run the restore again';
    t.match(await failure(restore(place.to, place, target)), { code: 'ROWS_REFUSED', hint });
    await query(target, `ALTER TABLE numbers DROP CONSTRAINT numbers_n_check`);
    t.match(await failure(restore(place.to, place, target)), { code: 'SCHEMA_REFUSED', message: /INDEX by_room/, hint });
    await query(target, functions(''));
    t.match(await restore(place.to, place, target), { rows: 1, warnings: [] }, 'then it goes on');
  })));
});

t.test('an index that needs a filled view, and a view that cannot be filled', NEEDS_PG_DUMP, async (t) => {
  await withEmptyDatabase((source) => withEmptyDatabase((target) => withPlace(async (place) => {
    await query(source, `
      CREATE TABLE numbers (n integer); INSERT INTO numbers VALUES (1);
      CREATE MATERIALIZED VIEW known AS SELECT n FROM numbers;
      CREATE FUNCTION public.is_known(m integer) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN EXISTS (SELECT FROM public.known WHERE n = m); END';
      CREATE INDEX by_known ON numbers (public.is_known(n));
      CREATE FUNCTION public.away() RETURNS integer LANGUAGE plpgsql AS 'BEGIN IF current_database() = ''${new URL(source).pathname.slice(1)}'' THEN RETURN 1; END IF; RAISE ''no such server''; END';
      CREATE MATERIALIZED VIEW remote AS SELECT public.away() AS n`);
    await backUp(source, place);
    t.match(await restore(place.to, place, target), { warnings: [/materialized view was not filled.*MATERIALIZED VIEW DATA remote.*no such server/] });
    t.match(await query(target, 'SELECT indexname FROM pg_indexes WHERE schemaname = \'public\''), [{ indexname: 'by_known' }]);
  })));
});
