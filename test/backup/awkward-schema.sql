-- A database that is awkward to copy: every trap that a schema can set for a backup, with rows in it.
CREATE EXTENSION hstore;
CREATE EXTENSION citext;
CREATE SCHEMA zulip;
CREATE SCHEMA "Odd ""schema"".name";
COMMENT ON SCHEMA zulip IS 'It''s a comment; with $$ and a -- dash';

CREATE TYPE zulip.mood AS ENUM ('sad', 'o''k', 'happy; -- not a comment', E'new\nline');
CREATE DOMAIN zulip.positive AS integer CHECK (VALUE > 0);
CREATE DOMAIN zulip.good_mood AS zulip.mood CHECK (VALUE <> 'sad');
CREATE TYPE zulip.pair AS (a integer, b text);
CREATE TYPE zulip.mood_range AS RANGE (subtype = integer);

-- Values at the edges of their types.
CREATE TABLE zulip.every_type (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  small smallint, whole integer, big bigint, exact numeric, money_like numeric(20, 4), single real, double double precision,
  flag boolean, letters char(5), "varying" varchar(10), words text, single_char "char", label name,
  bytes bytea, day date, clock time, clock_zone timetz, moment timestamp, moment_zone timestamptz, span interval,
  uuid uuid, address inet, network cidr, mac macaddr, mac8 macaddr8, bits bit(3), more_bits bit varying,
  document json, binary_document jsonb, path jsonpath, vector tsvector, query tsquery, markup xml,
  corner point, way path, area polygon, ring circle, sides box, edge lseg, endless line,
  ints int[], matrix int[][], texts text[], stamps timestamptz[], documents jsonb[], numbers numeric[],
  ranges int4range, times tstzrange, many_ranges int8multirange, price money,
  object oid, log_position pg_lsn, transaction_id xid8, place tid
);
INSERT INTO zulip.every_type (small, whole, big, exact, money_like, single, double, flag, letters, "varying", words, single_char, label, bytes, day, clock, clock_zone,
  moment, moment_zone, span, uuid, address, network, mac, mac8, bits, more_bits, document, binary_document, path, vector, query, markup,
  corner, way, area, ring, sides, edge, endless, ints, matrix, texts, stamps, documents, numbers, ranges, times, many_ranges, price, object, log_position, transaction_id, place) VALUES
  (-32768, -2147483648, -9223372036854775808, 'NaN', 9999999999999999.9999, 'NaN', 'NaN', true, 'ab', 'äöü', E'tab\tnew\nline\r\\back \\N \\.', 'x', 'n', '\x00ff5c0a',
   '4713-01-01 BC', '24:00', '23:59:59.999999-15:59', '-infinity', 'infinity', '-178000000 years', '00000000-0000-0000-0000-000000000000', '::1/64', '10.0.0.0/8', '08:00:2b:01:02:03',
   '08:00:2b:01:02:03:04:05', '101', '', '{"b": 1, "a":  [1e400, "\u0041"], "b": 2}', '{"big": 123456789012345678901234567890.12345, "nul": null}', '$.a[*] ? (@ > 1)',
   $$'it''s':1A,3 fat:2B cat$$, $$fat & !( cat | 'd''og':*A )$$, '<a>text &amp; more</a>', '(1,-2.5)', '[(0,0),(1,1)]', '((0,0),(1,0),(1,1))', '<(0,0),5>', '(1,1),(0,0)', '[(0,0),(1,1)]', '{1,2,3}',
   '{1,NULL,3}', '[0:1][-1:0]={{1,2},{3,4}}', ARRAY['', NULL, 'NULL', 'a,b', '"', E'\\', E'\n'], '{infinity,-infinity,NULL}', ARRAY['{"a":1}'::jsonb, NULL], '{NaN,1.10,-0.0}',
   '[1,5)', '[,2024-01-01)', '{[1,3),[5,9)}', '-92233720368547758.08', 4294967295, 'FFFFFFFF/FFFFFFFF', '18446744073709551615', '(4294967295,65535)'),
  (32767, 2147483647, 9223372036854775807, 'Infinity', -0.0001, '-Infinity', '1.7976931348623157e308', false, '', '', '', '', '', '', 'infinity', '00:00', '00:00+15:59',
   '294276-12-31 23:59:59.999999', '-infinity', '1 mon -1 day 00:00:00.000001', 'ffffffff-ffff-ffff-ffff-ffffffffffff', '255.255.255.255', '::/0', 'ff:ff:ff:ff:ff:ff', 'ff:ff:ff:ff:ff:ff:ff:ff',
   '000', '1', 'null', 'null', '$', '', '', '', '(NaN,Infinity)', '((0,0))', '((0,0))', '<(0,0),0>', '(0,0),(0,0)', '[(0,0),(0,0)]', '{0,1,0}',
   '{}', '{}', '{}', '{}', '{}', '{}', 'empty', 'empty', '{}', '0', 0, '0/0', '0', '(0,0)'),
  (0, 0, 0, '-0.000000000000000000000000000001', '-0', 1e-45, '-0', NULL, 'exact', '10 letters', repeat('long ', 3000), NULL, NULL, decode(repeat('00ff', 5000), 'hex'), 'epoch', NULL, NULL, NULL, 'epoch', '0',
   NULL, NULL, NULL, NULL, NULL, NULL, repeat('10', 100)::varbit, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO zulip.every_type DEFAULT VALUES;

-- Types of this database: their binary form holds OIDs, so the rows must travel as text.
CREATE TABLE zulip.own_types (
  current zulip.mood, history zulip.mood[], good zulip.good_mood, count zulip.positive, pair zulip.pair, pairs zulip.pair[], range zulip.mood_range,
  attributes hstore, label citext, relation regclass, type regtype
);
INSERT INTO zulip.own_types VALUES
  ('happy; -- not a comment', ARRAY['sad', NULL, E'new\nline']::zulip.mood[], 'happy; -- not a comment', 1, ROW(1, E'a\tb\\'), ARRAY[ROW(NULL, '')::zulip.pair], '[1,2)', '"a b"=>NULL, k=>"v\"w"', 'MiXed', 'zulip.every_type', 'zulip.mood'),
  (NULL, '{}', NULL, NULL, NULL, NULL, 'empty', '', '', NULL, NULL);
CREATE TABLE zulip.only_enum (m zulip.mood PRIMARY KEY, d zulip.good_mood);
INSERT INTO zulip.only_enum VALUES ('sad', NULL), (E'new\nline', 'o''k');

CREATE TABLE zulip.no_columns ();
INSERT INTO zulip.no_columns SELECT FROM generate_series(1, 3);
CREATE TABLE zulip.no_rows (a integer, b text);
CREATE TABLE zulip.dropped_column (a integer, gone text, b text);
INSERT INTO zulip.dropped_column VALUES (1, 'x', 'kept');
ALTER TABLE zulip.dropped_column DROP COLUMN gone;
CREATE TABLE zulip.generated (net integer, gross integer GENERATED ALWAYS AS (net * 2) STORED, "by default" integer GENERATED BY DEFAULT AS IDENTITY (START -7 INCREMENT -3));
INSERT INTO zulip.generated (net) VALUES (1), (NULL), (3);
CREATE TABLE zulip.only_generated (g integer GENERATED ALWAYS AS (1) STORED);
INSERT INTO zulip.only_generated DEFAULT VALUES;
CREATE UNLOGGED TABLE zulip.unlogged (a integer);
INSERT INTO zulip.unlogged VALUES (1);

-- Names that need quotes.
CREATE TABLE "Odd ""schema"".name"."Weird ""table"".name; -- x" ("select" integer PRIMARY KEY, "a ""b"" c" text, "ünïcödé" text DEFAULT 'ß');
INSERT INTO "Odd ""schema"".name"."Weird ""table"".name; -- x" VALUES (1, 'one'), (2, NULL);
CREATE INDEX "index, (odd)" ON "Odd ""schema"".name"."Weird ""table"".name; -- x" ("a ""b"" c");
CREATE TABLE "Odd ""schema"".name"."CASE" (a integer);
CREATE TABLE "Odd ""schema"".name"."case" (a integer);
INSERT INTO "Odd ""schema"".name"."CASE" VALUES (1);
INSERT INTO "Odd ""schema"".name"."case" VALUES (2);
CREATE TABLE zulip."a table whose name is as long as a name can be, sixty-three byt" (a integer REFERENCES "Odd ""schema"".name"."Weird ""table"".name; -- x");
INSERT INTO zulip."a table whose name is as long as a name can be, sixty-three byt" VALUES (1), (NULL);

-- Partitions, by each strategy, a default one, one that is partitioned again, and one with its columns in another order.
CREATE TABLE zulip.by_range (id integer, day date NOT NULL, note text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE zulip.by_range_2023 PARTITION OF zulip.by_range FOR VALUES FROM ('2023-01-01') TO ('2024-01-01');
CREATE TABLE zulip.by_range_rest PARTITION OF zulip.by_range DEFAULT PARTITION BY HASH (id);
CREATE TABLE zulip.by_range_rest_0 PARTITION OF zulip.by_range_rest FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE zulip.by_range_rest_1 PARTITION OF zulip.by_range_rest FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE zulip.by_range_2022 (note text, day date NOT NULL, id integer NOT NULL);
ALTER TABLE zulip.by_range ATTACH PARTITION zulip.by_range_2022 FOR VALUES FROM ('2022-01-01') TO ('2023-01-01');
INSERT INTO zulip.by_range SELECT g, date '2021-06-01' + g * 20, 'note ' || g FROM generate_series(1, 60) g;
CREATE INDEX ON zulip.by_range (note);
-- The hash of an enum's value is that of its OID, which is another one in the restored database.
CREATE TABLE zulip.by_enum (m zulip.mood, n integer, note text) PARTITION BY HASH (m);
CREATE TABLE zulip.by_enum_0 PARTITION OF zulip.by_enum FOR VALUES WITH (MODULUS 3, REMAINDER 0);
CREATE TABLE zulip.by_enum_1 (n integer, note text, m zulip.mood);
ALTER TABLE zulip.by_enum ATTACH PARTITION zulip.by_enum_1 FOR VALUES WITH (MODULUS 3, REMAINDER 1);
CREATE TABLE zulip.by_enum_2 PARTITION OF zulip.by_enum FOR VALUES WITH (MODULUS 3, REMAINDER 2);
INSERT INTO zulip.by_enum SELECT m, n, 'note' FROM unnest(enum_range(NULL::zulip.mood)) m, generate_series(1, 5) n;
-- Inheritance of the old kind: a parent has rows of its own.
CREATE TABLE zulip.parent (a integer);
CREATE TABLE zulip.child (b text) INHERITS (zulip.parent);
INSERT INTO zulip.parent VALUES (1);
INSERT INTO zulip.child VALUES (2, 'child');

-- Sequences: never used, used, with a gap before the next value, descending, and one that is cycled.
CREATE SEQUENCE zulip.unused START 5;
CREATE SEQUENCE zulip."Used ""one""" MINVALUE -10 INCREMENT BY -1;
SELECT nextval('zulip."Used ""one"""'), nextval('zulip."Used ""one"""');
CREATE SEQUENCE zulip.set_back CYCLE MAXVALUE 9;
SELECT setval('zulip.set_back', 9, false);

-- References in a circle, checks by functions, triggers, rules, policies.
CREATE TABLE zulip.egg (id integer PRIMARY KEY, hen integer);
CREATE TABLE zulip.hen (id integer PRIMARY KEY, egg integer REFERENCES zulip.egg DEFERRABLE INITIALLY DEFERRED);
ALTER TABLE zulip.egg ADD FOREIGN KEY (hen) REFERENCES zulip.hen DEFERRABLE INITIALLY DEFERRED;
INSERT INTO zulip.egg VALUES (1, 1);
INSERT INTO zulip.hen VALUES (1, 1);
CREATE FUNCTION zulip.is_even(n integer) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $body$
BEGIN
  -- A line that looks like pg_dump's own:
-- Name: fake; Type: INDEX; Schema: zulip; Owner: nobody
--

  RETURN n % 2 = 0; /* a ' quote */
END
$body$;
CREATE FUNCTION zulip.atomic(n integer) RETURNS integer LANGUAGE sql BEGIN ATOMIC SELECT n + 1; SELECT n + 2; END;
CREATE TABLE zulip.checked (n integer CHECK (zulip.is_even(n)), EXCLUDE USING btree (n WITH =));
INSERT INTO zulip.checked VALUES (2), (4);
ALTER TABLE zulip.checked ADD CONSTRAINT odd_allowed_before CHECK (n > 2) NOT VALID;
CREATE FUNCTION zulip.forbid() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'this table is closed'; END $$;
CREATE TRIGGER closed BEFORE INSERT ON zulip.checked FOR EACH ROW EXECUTE FUNCTION zulip.forbid();
CREATE TRIGGER sleeping AFTER UPDATE ON zulip.checked EXECUTE FUNCTION zulip.forbid();
ALTER TABLE zulip.checked DISABLE TRIGGER sleeping;
CREATE TABLE zulip.ruled (a integer);
INSERT INTO zulip.ruled VALUES (1);
CREATE RULE nowhere AS ON INSERT TO zulip.ruled DO INSTEAD (SELECT 1; SELECT 2);
CREATE TABLE zulip.secret (owner name, what text);
INSERT INTO zulip.secret VALUES ('somebody', 'hidden by a policy');
ALTER TABLE zulip.secret ENABLE ROW LEVEL SECURITY;
ALTER TABLE zulip.secret FORCE ROW LEVEL SECURITY;
CREATE POLICY "own; rows" ON zulip.secret USING (owner = current_user);

-- Views, one that needs a primary key and so comes after it, materialized ones that depend on each other, one that is not filled.
CREATE VIEW zulip.grouped AS SELECT e.id, e.words, count(*) FROM zulip.every_type e GROUP BY e.id;
CREATE MATERIALIZED VIEW zulip.first_copy AS SELECT id, words FROM zulip.every_type;
CREATE MATERIALIZED VIEW zulip.second_copy AS SELECT count(*) AS n FROM zulip.first_copy;
CREATE MATERIALIZED VIEW zulip.not_filled AS SELECT 1 AS one WITH NO DATA;
CREATE UNIQUE INDEX ON zulip.first_copy (id);
CREATE STATISTICS zulip.related ON whole, big FROM zulip.every_type;
CREATE TEXT SEARCH DICTIONARY zulip.plain (TEMPLATE = simple, ACCEPT = false);
CREATE TEXT SEARCH CONFIGURATION zulip.search (COPY = simple);
CREATE AGGREGATE zulip.total (integer) (SFUNC = int4pl, STYPE = integer, INITCOND = '0');
CREATE INDEX partial ON zulip.every_type (upper(words)) WHERE words IS NOT NULL;
COMMENT ON INDEX zulip.partial IS 'comment of an index';
CREATE INDEX clustered ON zulip.dropped_column (b);
ALTER TABLE zulip.dropped_column CLUSTER ON clustered;
CREATE PUBLICATION everything FOR ALL TABLES;

-- Large objects: empty, one page, several pages with a hole between them, cut at the edge of a page, nothing but a hole; with a comment.
SELECT lo_create(4200000001);
SELECT lo_from_bytea(4200000002, '\x00010203');
SELECT lo_from_bytea(4200000003, decode(repeat('ab', 5000), 'hex'));
SELECT lo_put(4200000003, 100000, '\xff');
SELECT lo_from_bytea(4200000004, decode(repeat('ab', 5000), 'hex')), lo_truncate(lo_open(4200000004, x'60000'::int), 2048);
SELECT lo_create(4200000005), lo_truncate(lo_open(4200000005, x'60000'::int), 4096);
COMMENT ON LARGE OBJECT 4200000002 IS 'a large object';

-- Enough rows for several ranges of blocks, with rows that are stored out of line.
CREATE TABLE zulip.large (id integer PRIMARY KEY, body text, extra bytea);
INSERT INTO zulip.large SELECT g, repeat(md5(g::text), 1 + g % 20), CASE WHEN g % 500 = 0 THEN decode(repeat(md5(g::text), 2000), 'hex') END FROM generate_series(1, 20000) g;
DELETE FROM zulip.large WHERE id % 7 = 0;
