import pg from 'pg';
import t from 'tap';
import { columnsOf } from '../../src/transform/columns-of.js';
import { withEmptyDatabase } from '../testbed/test-database.js';

const WRITTEN = {
  'int2': 'integer', 'int4': 'integer', 'int8': 'integer', 'float4': 'number', 'float8': 'number', 'numeric(10,2)': 'number', 'boolean': 'boolean', 'timestamptz': 'timestamp',
  'text': 'text', 'varchar(60)': 'text', 'uuid': 'text', 'tsvector': 'tsvector', 'date': 'text', 'inet': 'text', 'citext_like': 'text', 'json': 'json', 'jsonb': 'json',
  'int2[]': 'integer-array', 'int4[]': 'integer-array', 'int8[]': 'integer-array',
} as const;
const REFUSED = ['text[]', 'varchar[]', 'numeric[]', 'boolean[]', 'timestamptz[]', 'uuid[]', 'bytea'];

t.test('the types that a server names', (t) => withEmptyDatabase(async (url) => {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query('CREATE DOMAIN citext_like AS text');
    for (const [type, kind] of Object.entries(WRITTEN)) {
      const { fields } = await client.query(`SELECT NULL::${type} AS x`);
      t.same(columnsOf(fields, ['key'], 'zerver_test'), [{ key: 'key', kind }], type);
    }
    for (const type of REFUSED) {
      const { fields } = await client.query(`SELECT NULL::${type} AS x`);
      t.throws(() => columnsOf(fields, ['key'], 'zerver_test'), { code: 'TYPE_UNSUPPORTED', table: 'zerver_test', hint: /--strip zerver_test\.x/ }, type);
    }
  } finally {
    await client.end();
  }
}));
