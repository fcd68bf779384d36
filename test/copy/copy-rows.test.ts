import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import t from 'tap';
import { copyRows } from '../../src/copy/copy-rows.js';
import { CopySocket } from '../../src/copy/copy-socket.js';
import { connect } from '../../src/snapshot/connect.js';
import { connectionSettings } from '../../src/snapshot/connection-settings.js';
import { columnsOf, copyableSelect } from '../../src/transform/columns-of.js';
import { CopyToJson } from '../../src/transform/copy-to-json.js';
import { withEmptyDatabase } from '../testbed/test-database.js';

/** Rows enough for several hundred socket reads, so that a copy is in full flow when it is disturbed. */
const MANY = 'SELECT g AS id, repeat(md5(g::text), 10) AS text FROM pg_catalog.generate_series(1, 100000) g';
const MANY_BYTES = 100_000 * (320 + 2) + 488_895;

async function withSession<T>(url: string, work: (client: pg.Client) => Promise<T>, config: pg.ClientConfig = {}): Promise<T> {
  const settings = connectionSettings(url, {});
  const client = await connect({ ...settings, config: { ...settings.config, ...config } }, 'test');
  try {
    return await work(client);
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** Fails instead of waiting for ever: a hanging connection is what several of these tests are about. */
async function within<T>(promise: Promise<T>, seconds = 20): Promise<T> {
  const waiting = new AbortController();
  const late = sleep(seconds * 1000, undefined, { signal: waiting.signal }).then(() => { throw new Error('still running'); });
  late.catch(() => undefined);
  return Promise.race([promise, late]).finally(() => waiting.abort());
}

async function isUsable(client: pg.Client): Promise<boolean> {
  return within(client.query('SELECT 1').then(() => true, () => false));
}

t.test('every kind of column, as the server sends it', (t) => withEmptyDatabase((url) => withSession(url, async (client) => {
  const texts = [
    '', ' ', 'plain', 'a "quoted" one', '"', '""', ',', ',,', '\n', '\r\n', '\r', 'a\nb\r\nc', '\\', '\\.', '\\.\n', '\\N', '\\n', 'null', 'NULL', '\t\b\f\v\u0001\u001f\u007f', '\u2028\u2029', 'é', '日本語', '🎉👩‍👩‍👧',
    '</script><!--', 'x'.repeat(10_000), '"\n'.repeat(10_000), '🎉"\\'.repeat(30_000),
  ];
  await client.query(`CREATE TABLE public.every_kind (id bigint, text text, small smallint, float double precision, exact numeric, yes boolean, moment timestamptz, document jsonb, raw json, ids int[], key uuid, words tsvector,
    address inet, padded char(5), letter "char", span interval, day date, "a ""b""" varchar)`);
  await client.query('INSERT INTO public.every_kind (id, text) SELECT ordinality, text FROM unnest($1::text[]) WITH ORDINALITY AS t(text, ordinality)', [texts]);
  await client.query(`INSERT INTO public.every_kind (id, text, small, float, exact, yes, moment, document, raw, ids, key, words) VALUES
    (101, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    (9223372036854775807, 'x', -32768, 1e300, 123456789012345678901234567890.123456789, true, '2026-11-22 17:09:00.123456+00', '{"n": 12345678901234567890123, "s": "\\"\\\\\\u0001\\n"}', E'{\\n  "a" : [1.0e5] }', '{1,-2,3}', '7c9e6679-7425-40de-944b-e07fc1f90ae7', $$'it''s':1 'a,b':2 '"q"':3A$$),
    (-9223372036854775808, 'x', 0, 5e-324, 0.10, false, '1969-12-31 23:59:59.25+00', '[]', '"x"', '{}', NULL, ''),
    (103, 'x', 1, -0.1, -1, true, '0001-01-01 00:00:00+00', 'null', '1', '{7}', NULL, 'a'),
    (104, 'x', 1, 1e-7, 1e20, true, '9999-12-31 23:59:59.999999+00', to_jsonb(repeat('long "text" ', 100000)), '1', '{7}', NULL, 'a')`);
  await client.query(`INSERT INTO public.every_kind (id, address, padded, letter, span, day, "a ""b""") VALUES (106, '192.168.1.5', 'ab', 'c', '1 year 2 days 03:04:05.6', '0044-03-15 BC', 'x')`);
  await client.query(`INSERT INTO public.every_kind (id, document) SELECT 105, (repeat('[', 3000) || repeat(']', 3000))::jsonb`);
  await client.query("UPDATE public.every_kind SET words = array_to_tsvector(ARRAY[text, 'other']) || setweight(to_tsvector('simple', text || ' a b a'), 'B') || to_tsvector('simple', 'c d c') WHERE id < 100 AND text <> '' AND length(text) < 500");
  await client.query("UPDATE public.every_kind SET words = to_tsvector('simple', (SELECT string_agg('w' || g, ' ') FROM generate_series(1, 30000) g)) WHERE id = 104");
  let written = '';
  let bytes = 0;
  const select = 'SELECT * FROM public.every_kind ORDER BY id';
  const { fields } = await client.query(`${select} LIMIT 0`);
  const transform = new CopyToJson(columnsOf(fields, fields.map(({ name }) => name), 'every_kind'), { write: (bytes) => { written += Buffer.from(bytes).toString('latin1'); } }, 'every_kind');
  const result = await copyRows(client, copyableSelect(select, fields), (chunk) => {
    bytes += chunk.length;
    transform.push(chunk);
  }, 'every_kind', 'binary');
  transform.end();
  const json = Buffer.from(written, 'latin1').toString('utf8');
  t.match(result, { rows: transform.rows, bytes });

  // The server's own JSON of the same rows, with the timestamp as a number.
  const expected = await client.query<{ json: string }>(`
    SELECT json_build_object('id', id, 'text', text, 'small', small, 'float', float, 'exact', exact, 'yes', yes, 'moment', trim_scale(extract(epoch FROM moment)),
      'document', document, 'raw', raw, 'ids', ids, 'key', key, 'words', words::text,
      'address', address, 'padded', padded, 'letter', letter, 'span', span, 'day', day::text, 'a "b"', "a ""b""")::text AS json FROM public.every_kind ORDER BY id`);
  t.equal(JSON.stringify(JSON.parse(`[${json}]`)), JSON.stringify(JSON.parse(`[${expected.rows.map((row) => row.json).join(',')}]`)));
  for (const exact of ['"id":9223372036854775807,', '"id":-9223372036854775808,', '123456789012345678901234567890.123456789', '{"n": 12345678901234567890123, "s": "\\"\\\\\\u0001\\n"}', '"moment":1795367340.123456,',
    '"moment":-0.75,', '"moment":-62135596800.0,', '"moment":253402300799.999999,', '"exact":0.10,', '"raw":{\n  "a" : [1.0e5] },', '"ids":[1,-2,3],', '"ids":[],', '"text":"",', '"id":101,"text":null,', '"address":"192.168.1.5","padded":"ab   ","letter":"c",', '"day":"0044-03-15 BC"', '['.repeat(3000)]) {
    t.ok(json.includes(exact), exact.slice(0, 60));
  }
  for (const [code, select] of [['TIMESTAMP_NOT_JSON', `'infinity'::timestamptz`], ['TIMESTAMP_NOT_JSON', `'0044-03-15 BC'::timestamptz`], ['TIMESTAMP_NOT_JSON', `'10000-01-01'::timestamptz`],
    ['COLUMN_NOT_JSON', `'NaN'::float8`], ['COLUMN_NOT_JSON', `'-Infinity'::float8`], ['COLUMN_NOT_JSON', `'Infinity'::numeric`]] as const) {
    await withSession(url, async (other) => {
      const query = `SELECT ${select} AS x`;
      const { fields: [x] } = await other.query(query);
      const rows = new CopyToJson(columnsOf([x as pg.FieldDef], ['x'], 'z'), { write: () => undefined }, 'z');
      await t.rejects(copyRows(other, copyableSelect(query, [x as pg.FieldDef]), (chunk) => rows.push(chunk), 'z', 'binary'), { code, table: 'z' });
    });
  }
})));

t.test('a consumer that takes its time is waited for, and the connection serves again', (t) => withEmptyDatabase((url) => withSession(url, async (client) => {
  let running = 0;
  let chunks = 0;
  let bytes = 0;
  const result = await within(copyRows(client, MANY, async (chunk) => {
    assert.equal(++running, 1, 'one chunk at a time');
    if (++chunks % 50 === 0) await sleep(5);
    else await Promise.resolve();
    bytes += chunk.length;
    running--;
  }, 'many'));
  t.same(result, { bytes: MANY_BYTES, rows: 100_000 });
  t.equal(bytes, MANY_BYTES);
  t.ok(await isUsable(client));
  t.same(await copyRows(client, 'SELECT 1 WHERE false', () => undefined, 'none'), { bytes: 0, rows: 0 });
  t.same(await copyRows(client, 'SELECT 1', () => sleep(50), 'one'), { bytes: 2, rows: 1 });
  t.ok(await isUsable(client));
})));

t.test('what the server says in between does not get among the rows', (t) => withEmptyDatabase((url) => withSession(url, async (client) => {
  await client.query(`CREATE FUNCTION public.noisy(n int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN IF n % 1000 = 0 THEN RAISE NOTICE 'at %', n; END IF; RETURN n; END $$`);
  const notices: string[] = [];
  client.on('notice', (notice) => notices.push(notice.message ?? ''));
  const parts: Buffer[] = [];
  await copyRows(client, 'SELECT public.noisy(g) FROM generate_series(1, 10000) g', (chunk) => { parts.push(chunk); }, 'noisy');
  t.equal(Buffer.concat(parts).toString(), Array.from({ length: 10_000 }, (_, k) => `${k + 1}\n`).join(''));
  t.same(notices, Array.from({ length: 10 }, (_, k) => `at ${(k + 1) * 1000}`));
})));

t.test('a failing consumer ends the copy and its connection at once', (t) => withEmptyDatabase(async (url) => {
  for (const failure of [() => { throw new Error('disk full'); }, () => Promise.reject(new Error('disk full')), () => sleep(20).then(() => { throw new Error('disk full'); })]) {
    await withSession(url, async (client) => {
      let chunks = 0;
      await t.rejects(within(copyRows(client, MANY, () => (++chunks === 5 ? failure() : undefined), 'many')), { message: 'disk full' });
      t.equal(chunks, 5, 'nothing is consumed after a failure');
      t.notOk(await isUsable(client));
    });
  }
}));

t.test('errors of the server are named', (t) => withEmptyDatabase(async (url) => {
  await withSession(url, async (owner) => {
    await owner.query(`CREATE SCHEMA zulip; CREATE TABLE zulip.zerver_message (id int); CREATE ROLE curious_${process.pid}; GRANT USAGE ON SCHEMA zulip TO curious_${process.pid}; CREATE SCHEMA shut; CREATE TABLE shut.zerver_realm (id int); CREATE SCHEMA "my-schema"; CREATE TABLE "my-schema".zerver_message (id int); GRANT USAGE ON SCHEMA "my-schema" TO curious_${process.pid}; CREATE SCHEMA "shut-too"`);
    await owner.query(`CREATE FUNCTION public.conflict(n int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN IF n = 5000 THEN RAISE EXCEPTION SQLSTATE '40001'; END IF; RETURN n; END $$`);
  });
  const rejects = (select: string, expected: object, role?: string): Promise<void> => withSession(url, async (client) => {
    if (role !== undefined) await client.query(`SET ROLE ${role}`);
    await t.rejects(within(copyRows(client, select, () => undefined, 'zerver_message')), { name: 'RealmliftError', stage: 'copy', table: 'zerver_message', ...expected }, select);
  });
  const role = `curious_${process.pid}`;
  await rejects('SELECT id FROM zulip.zerver_message', { code: 'RIGHT_MISSING', message: /permission denied for table zerver_message/, hint: 'GRANT SELECT ON zulip.zerver_message TO postgres' }, role);
  await rejects('SELECT id FROM "my-schema".zerver_message', { code: 'RIGHT_MISSING', hint: 'GRANT SELECT ON "my-schema".zerver_message TO postgres' }, role);
  await rejects('SELECT id FROM "shut-too".zerver_realm', { code: 'RIGHT_MISSING', hint: 'GRANT USAGE ON SCHEMA "shut-too" TO postgres' }, role);
  await rejects('SELECT id FROM shut.zerver_realm', { code: 'RIGHT_MISSING', hint: 'GRANT USAGE ON SCHEMA shut TO postgres' }, role);
  await rejects('SELECT id FROM zulip.zerver_nothing', { code: 'COPY_FAILED', message: /42P01.*does not exist/ });
  await rejects(`SELECT CASE WHEN g < 50000 THEN g ELSE ('sec' || 'ret')::int END FROM generate_series(1, 60000) g`, { code: 'COPY_FAILED', message: 'the server could not send the rows (SQLSTATE 22P02)' });
  await rejects('SELECT public.conflict(g) FROM generate_series(1, 60000) g', { code: 'RECOVERY_CONFLICT', hint: /max_standby_streaming_delay.*hot_standby_feedback/ });
  await withSession(url, (owner) => owner.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`));
}));

t.test('a terminated backend and a cut connection are a lost connection, also while the consumer is busy', (t) => withEmptyDatabase(async (url) => {
  for (const consume of [() => undefined, () => sleep(1)]) {
    await withSession(url, (client) => withSession(url, async (killer) => {
      const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
      const copied = copyRows(client, `SELECT * FROM (${MANY}) a CROSS JOIN generate_series(1, 100)`, consume, 'many');
      copied.catch(() => undefined);
      await sleep(100);
      await killer.query('SELECT pg_terminate_backend($1)', [rows[0]?.pid]);
      await t.rejects(within(copied), { code: 'CONNECTION_LOST', stage: 'copy', table: 'many' });
    }));
    await withSession(url, async (client) => {
      const copied = copyRows(client, `SELECT * FROM (${MANY}) a CROSS JOIN generate_series(1, 100)`, consume, 'many');
      copied.catch(() => undefined);
      await sleep(100);
      (client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
      await t.rejects(within(copied), { code: 'CONNECTION_LOST', stage: 'copy', table: 'many' });
    });
  }
}));

t.test('a connection with one buffer for all it reads', (t) => withEmptyDatabase((url) => withSession(url, async (client) => {
  let held: Buffer | undefined;
  let changed = 0;
  const pieces: Buffer[] = [];
  const take = (chunk: Buffer): void | Promise<void> => {
    pieces.push(Buffer.from(chunk));
    if (pieces.length % 10 !== 0) return undefined;
    // While the consumer has it, nobody else may write into it.
    held = Buffer.from(chunk);
    return sleep(1).then(() => void (held?.equals(chunk) === true || changed++));
  };
  t.match(await copyRows(client, MANY, take, 'many'), { rows: 100_000, bytes: MANY_BYTES });
  const expected: Buffer[] = [];
  await withSession(url, (other) => copyRows(other, MANY, (chunk) => void expected.push(chunk), 'many'));
  t.ok(Buffer.concat(pieces).equals(Buffer.concat(expected)));
  t.ok(held !== undefined && changed === 0);

  // Rows of a query are cut by reads anywhere, and the driver keeps what is not whole.
  const { rows } = await client.query<{ id: number; text: string }>(MANY);
  t.equal(rows.length, 100_000);
  t.ok(rows.every(({ id, text }, n) => id === n + 1 && text.length === 320));
  await t.rejects(copyRows(client, 'SELECT 1 / (g - 50000) FROM pg_catalog.generate_series(1, 100000) g', () => undefined, 'many'), { code: 'COPY_FAILED' });
}, { stream: () => new CopySocket() })));
