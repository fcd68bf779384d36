import t from 'tap';
import { messageFiles, type PlannedMessageFile } from '../../src/plan/message-files.js';
import { withClient } from '../testbed/database-client.js';
import { withEmptyDatabase } from '../testbed/test-database.js';

/** Ids by a query, and the last of the files that they make. */
const CASES: readonly [name: string, ids: string, last: PlannedMessageFile | undefined][] = [
  ['no message', 'SELECT 1 AS id WHERE false', undefined],
  ['one', 'SELECT 7 AS id', { number: 1, after: 0, until: 7, rows: 1 }],
  ['ids below 1, and beyond 2^31', 'SELECT -3 AS id UNION ALL SELECT 9000000000', { number: 1, after: -4, until: 9_000_000_000, rows: 2 }],
  ['one less than a file, with gaps', 'SELECT g * 3 AS id FROM generate_series(1, 999) g', { number: 1, after: 0, until: 2997, rows: 999 }],
  ['a whole file, in no order', 'SELECT g AS id FROM generate_series(1, 1000) g ORDER BY md5(g::text)', { number: 1, after: 0, until: 1000, rows: 1000 }],
  ['one more', 'SELECT g AS id FROM generate_series(1, 1001) g', { number: 2, after: 1000, until: 1001, rows: 1 }],
  ['more files than are asked for at once', 'SELECT g::bigint AS id FROM generate_series(1, 400500) g', { number: 401, after: 400_000, until: 400_500, rows: 500 }],
  ['as many as were asked for', 'SELECT g AS id FROM generate_series(1, 255000) g', { number: 255, after: 254_000, until: 255_000, rows: 1000 }],
];

t.test('every thousandth message ends a file', (t) => withEmptyDatabase((url) => withClient(url, async (client) => {
  for (const [name, ids, last] of CASES) {
    await client.query('BEGIN');
    const files: PlannedMessageFile[] = [];
    for await (const file of messageFiles(client, ids)) files.push(file);
    await client.query('COMMIT');
    t.same(files.at(-1), last, name);
    t.equal(files.length, last?.number ?? 0);
    t.ok(files.every((file, at) => file.number === at + 1 && (at === 0 || file.after === files[at - 1]?.until)), 'without a gap');
    t.ok(files.slice(0, -1).every(({ rows }) => rows === 1000));
    t.same((await client.query("SELECT name FROM pg_cursors WHERE name = 'message_files'")).rows, [], 'nothing is left open');
  }
})));
