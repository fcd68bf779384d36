/** Databases whose texts are in another encoding than UTF-8, or in none. */
import t from 'tap';
import { withEmptyDatabase } from '../testbed/test-database.js';
import { realmlift } from './command-line.js';
import { NEEDS_PG_DUMP, backUp, dump, failure, query, restore, withPlace } from './test-backup.js';

t.setTimeout(180_000);

/** A table, a default, a comment, an index, an enum and a function with the bytes (hexadecimal) of a text; large enough for several parts would be no different. */
const schema = (bytes: string, encoding: string): string => `
  CREATE TABLE "näme" (id integer PRIMARY KEY, body text, words text[]);
  DO $do$ DECLARE odd text := convert_from('\\x${bytes}', '${encoding}'); BEGIN
    INSERT INTO "näme" SELECT g, odd || repeat(odd, g % 50) || E'\\t\\n\\\\', ARRAY[odd, NULL, ''] FROM generate_series(1, 2000) g;
    EXECUTE format('ALTER TABLE "näme" ADD extra text DEFAULT %L', odd);
    EXECUTE format('CREATE TYPE mood AS ENUM (%L)', odd);
    EXECUTE format('COMMENT ON TABLE "näme" IS %L', odd);
    EXECUTE format('CREATE INDEX ON "näme" (id) WHERE body = %L', odd);
    EXECUTE format('CREATE FUNCTION said() RETURNS text LANGUAGE plpgsql AS %L', 'BEGIN RETURN ''' || odd || '''; END');
  END $do$`;

const hex = (text: string): string => `encode(convert_to(${text}, getdatabaseencoding()), 'hex')`;
const DIGEST = `SELECT md5(string_agg(${['body', 'words::text', 'extra', 'said()'].map(hex).join(' || ')}, '' ORDER BY id)) AS digest FROM "näme"`;

for (const [encoding, bytes] of [['SQL_ASCII', '636166e920ff80'], ['LATIN1', '636166e920a4'], ['EUC_JP', 'a4a2b4c1'], ['UTF8', '636166c3a9']] as const) {
  t.test(`${encoding}: byte for byte`, NEEDS_PG_DUMP, async (t) => {
    await withEmptyDatabase((source) => withEmptyDatabase((target) => withPlace(async (place) => {
      await query(source, schema(bytes, encoding));
      const backup = await realmlift(['backup', '--to', place.to, '--recipient', place.recipient, '--prove', '--json'], { DATABASE_URL: source, PATH: process.env.PATH ?? '' });
      t.match(backup, { code: 0, stdout: /"rows":2000/ }, backup.stderr);
      t.match(await restore(place.to, place, target), { rows: 2000, warnings: [] });
      t.strictSame(await query(target, DIGEST), await query(source, DIGEST));
      t.equal(await dump(target, '--schema-only'), await dump(source, '--schema-only'));
      await withEmptyDatabase(async (other) => t.match(await failure(restore(place.to, place, other)), { code: 'ENCODING', hint: new RegExp(encoding) }), encoding === 'UTF8' ? 'LATIN1' : 'UTF8');
    }), encoding), encoding);
  });
}

t.test('a name that is no UTF-8 is told', NEEDS_PG_DUMP, async (t) => {
  await withEmptyDatabase((source) => withPlace(async (place) => {
    await query(source, `DO $do$ BEGIN EXECUTE format('CREATE TABLE %I (n integer)', convert_from('\\xe9ff', 'SQL_ASCII')); END $do$`);
    t.match(await failure(backUp(source, place)), { code: 'NAME_NOT_UTF8', stage: 'backup' });
  }), 'SQL_ASCII');
});
