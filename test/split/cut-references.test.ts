// How references are cut: what the server is told of tables that have neither indexes nor statistics yet.
import pg from 'pg';
import t from 'tap';
import { cutReferences, cutScript } from '../../src/split/cut-references.js';
import { withEmptyDatabase } from '../testbed/test-database.js';

const REFERENCE = { table: 'child', column: 'parent_id', referenced: 'parent', key: 'id', nullable: true } as const;
const SOURCE = { schema: 'public', catalog: new Map() } as const;

t.test('into a database and by a script no reference is cut row by row', async (t) => {
  for (const way of ['database', 'script'] as const) {
    await withEmptyDatabase(async (url) => {
      const connect = async (): Promise<pg.Client> => {
        const client = new pg.Client({ connectionString: url });
        await client.connect();
        return client;
      };
      const client = await connect();
      try {
        await client.query(`CREATE TABLE parent (id bigint); CREATE TABLE child (id bigint, parent_id bigint); CREATE TABLE told (nested text);
          INSERT INTO parent VALUES (1); INSERT INTO child VALUES (1, 1), (2, 2), (3, 3);
          CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO told VALUES (current_setting(''enable_nestloop'')); RETURN NEW; END';
          CREATE TRIGGER tell BEFORE UPDATE ON child FOR EACH ROW EXECUTE FUNCTION tell()`);
        if (way === 'script') await client.query(cutScript(SOURCE, [REFERENCE]));
        else t.strictSame(await cutReferences(client, SOURCE, [REFERENCE], 1, connect, new AbortController().signal), [{ table: 'child', column: 'parent_id', referenced: 'parent', how: 'nulled', rows: 2 }]);
        t.strictSame((await client.query('SELECT * FROM told')).rows, [{ nested: 'off' }, { nested: 'off' }], way);
        t.strictSame((await client.query('SHOW enable_nestloop')).rows, [{ enable_nestloop: 'on' }], `${way}: what follows is planned as ever`);
      } finally {
        await client.end();
      }
    });
  }
});
