// Whatever PostgreSQL can store in a row arrives as it was.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import t from 'tap';
import type { RealmliftError } from '../../src/errors.js';
import { openLocalStore } from '../../src/files/local-store.js';
import { loadDump } from '../../src/demo/dump-loader.js';
import { uploadsDirectory } from '../testbed/expected-export.js';
import { testData } from '../testbed/test-data.js';
import { withEmptyDatabase } from '../testbed/test-database.js';
import { exportRealm, exportUser, tableFile, withSource } from './test-source.js';
import type { TestSource } from './test-source.js';

t.setTimeout(180_000);

const CONTROLS = Array.from({ length: 31 }, (_, code) => String.fromCharCode(code + 1)).join('');
const TEXTS = [
  '', ' ', '\n', '\r\n', '\r', '\t', '"', '""', '"""', "'", '\\', '\\.', '\\.\n', '\n\\.\n', '\\N', 'NULL', 'null', ',', ',,', '"a","b"', 'a\nb,"c"\r\nd',
  CONTROLS, '\u007f', '\u0080\u009f', '\u00a0', '\u2028', '\u2029', '\ufeff', '\ufffd', '\uffff', '\u200b\u202e', 'é', 'e\u0301', 'ß', '日本語', '\u{1f600}', '\u{1f468}\u200d\u{1f469}\u200d\u{1f467}',
  '\u{10ffff}', '{"a": 1}', '[]', '<script>', '&amp;', '%s', '$1', ':realm_id', '\\u0041', '\\x41', '\\"', '\\\\"', 'x'.repeat(10_000), '"'.repeat(10_000), '\n'.repeat(5000), '\u{1f600}'.repeat(5000),
  `${'word "quoted", '.repeat(20_000)}end`,
];

/** Written as PostgreSQL writes jsonb, so that the bytes can be looked for. */
const JSONS = [
  'null', 'true', '""', '"\\u2028 \\u0001"'.replace('\\u2028', '\u2028'), '[]', '{}', '0', '-0.5', '1.50', '9007199254740993', '12345678901234567890123456789', `1${'0'.repeat(200)}`, '0.1234567890123456789012345678901234567890',
  '{"1": 12345678901234567890, "a": "\\"\\\\,\\n", "é": "日本"}', `${'['.repeat(900)}${']'.repeat(900)}`, `${'{"a": '.repeat(400)}1${'}'.repeat(400)}`, `[${Array.from({ length: 5000 }, (_, n) => n).join(', ')}]`,
];

t.test('text, JSON and times arrive unchanged, and empty is not null', async (t) => {
  await withSource('zulip-11/local', async (source) => {
    const client = new pg.Client({ connectionString: source.url });
    await client.connect();
    await client.query('SET search_path = zulip');
    const acme = (await client.query<{ id: number }>("SELECT id FROM zerver_realm WHERE string_id = 'acme'")).rows[0]?.id;
    try {
      // Each text in the columns of one message, one reader's message, and one alert word; each JSON in one audit row.
      const { rows: messages } = await client.query<{ id: number }>("SELECT id FROM zerver_message WHERE realm_id = $1 AND recipient_id IN (SELECT recipient_id FROM zerver_stream) ORDER BY id LIMIT $2", [acme, TEXTS.length]);
      const { rows: audits } = await client.query<{ id: number }>('SELECT id FROM zerver_realmauditlog WHERE realm_id = $1 ORDER BY id LIMIT $2', [acme, JSONS.length]);
      t.same([messages.length, audits.length], [TEXTS.length, JSONS.length], 'there are rows enough');
      for (const [index, text] of TEXTS.entries()) {
        await client.query('UPDATE zerver_message SET content = $2, rendered_content = $3, subject = left($2, 60), edit_history = CASE WHEN $4 THEN $2 END WHERE id = $1', [messages[index]?.id, text, text === '' ? null : text, index % 2 === 0]);
      }
      for (const [index, json] of JSONS.entries()) await client.query('UPDATE zerver_realmauditlog SET extra_data = $2::jsonb WHERE id = $1', [audits[index]?.id, json]);
      const everything = TEXTS.join('\u2028').slice(0, 8000);
      await client.query('UPDATE zerver_realm SET description = $2 WHERE id = $1', [acme, everything.slice(0, 1000)]);
      await client.query("UPDATE zerver_userprofile SET full_name = left($2, 100), timezone = '' WHERE realm_id = $1", [acme, everything]);
      await client.query('UPDATE zerver_botstoragedata SET value = $1', [everything]);
      await client.query("UPDATE zerver_userpresence SET last_connected_time = '0001-01-01 00:00:00.000001+00', last_active_time = '9999-12-31 23:59:59.999999+00' WHERE realm_id = $1", [acme]);
      await client.query('ALTER TABLE zerver_realmdomain ADD COLUMN ratio float8, ADD COLUMN exact numeric, ADD COLUMN tags int[]');
      await client.query("UPDATE zerver_realmdomain SET ratio = $1, exact = 12345678901234567890.123456789, tags = '{1,-2,3}'", ['1.7976931348623157e+308']);

      const directory = await exportRealm(source, t.testdir(), 'acme');
      const texts = tableFile(directory, 'messages-000001.json').zerver_message ?? [];
      const byId = new Map(texts.map((row) => [row.id, row]));
      for (const [index, text] of TEXTS.entries()) {
        const name = `text ${index}`;
        const { rows: [stored] } = await client.query<{ subject: string }>('SELECT subject FROM zerver_message WHERE id = $1', [messages[index]?.id]);
        const row = byId.get(messages[index]?.id);
        t.ok(row?.content === text, `${name} as content`);
        t.ok(row?.subject === stored?.subject, `${name} as topic`);
        t.ok(row?.rendered_content === (text === '' ? null : text), `${name} rendered`);
        t.ok(row?.edit_history === (index % 2 === 0 ? text : null), `${name} as history, or none`);
      }

      const bytes = readFileSync(join(directory, 'realm.json'), 'utf8');
      for (const [index, json] of JSONS.entries()) t.ok(bytes.includes(`"extra_data":${json},`), `JSON ${index}`);
      const realm = tableFile(directory, 'realm.json');
      t.equal(realm.zerver_realm?.[0]?.description, everything.slice(0, 1000));
      t.ok(realm.zerver_userprofile?.every((user) => user.timezone === '' && everything.startsWith(String(user.full_name))));
      t.ok(realm.zerver_botstoragedata?.every(({ value }) => value === everything));
      t.ok(bytes.includes('"last_connected_time":-62135596799.999999') && bytes.includes('"last_active_time":253402300799.999999'), 'times to the microsecond');
      t.ok(bytes.includes('"ratio":1.7976931348623157e+308,"exact":12345678901234567890.123456789,"tags":[1,-2,3]'), 'numbers to the digit');

      const user = await exportUser(source, t.testdir(), 'acme', 'owner@acme.example');
      const { rows: sent } = await client.query<{ id: number; content: string }>(`
        SELECT m.id, m.content FROM zerver_message m JOIN zerver_userprofile u ON u.id = m.sender_id WHERE u.delivery_email = 'owner@acme.example'`);
      const own = new Map((tableFile(user, 'messages-000001.json').zerver_message ?? []).map((row) => [row.id, row]));
      t.ok(sent.length > 0);
      t.ok(sent.every(({ id, content }) => own.get(id)?.content === content), "a single user's messages too");
    } finally {
      await client.end();
    }
  });
});

t.test('indexes over functions that name nothing with a schema, and a schema that would take the place of what we name', async (t) => {
  await withSource('zulip-11/local', async (source) => {
    const plain = await exportRealm(source, t.testdir(), 'acme');
    const client = new pg.Client({ connectionString: source.url });
    await client.connect();
    try {
      // Nothing that runs under the search path of our own may find what is in "evil", though it comes first in the database's.
      await client.query(`
        CREATE SCHEMA evil; CREATE SCHEMA odd;
        CREATE FUNCTION evil.captured(varchar, text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RAISE ''captured''; END';
        CREATE OPERATOR evil.= (LEFTARG = varchar, RIGHTARG = text, FUNCTION = evil.captured);
        CREATE FUNCTION evil.coalesce(text, text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT 1 / 0 || ''''';
        ALTER DATABASE "${client.database ?? ''}" SET search_path = evil, odd, public;
        SET search_path = odd, public;
        CREATE FUNCTION odd.letters(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT translate($1, ''äöü'', ''aou'')';
        CREATE FUNCTION public.folded(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT letters($1)';
        CREATE INDEX ON zulip.zerver_message (public.folded(subject)); CREATE INDEX ON zulip.zerver_realm (id) WHERE public.folded(string_id) <> 'x';
        CREATE STATISTICS odd.more ON (public.folded(email)), id FROM zulip.zerver_userprofile`);
    } finally {
      await client.end();
    }
    const directory = await exportRealm(source, t.testdir(), 'acme');
    for (const file of ['messages-000001.json', 'attachment.json']) t.strictSame(tableFile(directory, file), tableFile(plain, file), file);
  });
});

t.test('a row whose text is no UTF-8 is named, with what mends it', async (t) => {
  await withEmptyDatabase(async (url) => {
    await loadDump(url, testData('zulip-11/local', 'database.sql.gz'));
    const source: TestSource = { dataset: 'zulip-11/local', url, openStore: async () => openLocalStore({ uploadsDir: await uploadsDirectory('zulip-11/local') }) };
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    try {
      const { rows } = await client.query<{ id: number }>(`
        UPDATE zulip.zerver_message SET content = E'two\\nlines, "quoted" ' || convert_from('\\x636166e9', 'SQL_ASCII'), subject = 'good'
        WHERE id IN (SELECT m.id FROM zulip.zerver_message m JOIN zulip.zerver_realm r ON r.id = m.realm_id WHERE r.string_id = 'acme' ORDER BY id LIMIT 2 OFFSET 20) RETURNING id`);
      const [one, two] = rows.map(({ id }) => id).sort((a, b) => a - b) as [number, number];
      const error = await exportRealm(source, t.testdir(), 'acme').catch((refusal: unknown) => refusal as RealmliftError) as RealmliftError;
      t.match(error, { code: 'TEXT_NOT_UTF8', stage: 'copy', table: 'zerver_message' });
      t.match(error.message, new RegExp(`2 rows with id ${one}, ${two} is no UTF-8 \\(column content\\)`));
      t.notMatch(error.line, /caf|quoted/);
      await client.query(/UPDATE [^;]*/.exec(error.hint ?? '')?.[0] ?? '');
      const messages = tableFile(await exportRealm(source, t.testdir(), 'acme'), 'messages-000001.json').zerver_message ?? [];
      t.strictSame(messages.filter(({ id }) => id === one || id === two).map(({ content }) => content), Array(2).fill('two\nlines, "quoted" café'));
    } finally {
      await client.end();
    }
  }, 'SQL_ASCII');
});
