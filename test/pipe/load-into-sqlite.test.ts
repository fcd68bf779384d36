import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import sqlite from 'node-sqlite3-wasm';
import t from 'tap';
import { load } from '../../examples/load-into-sqlite/load.js';
import { writeNdjson } from '../../src/pipe/ndjson.js';
import { withTestDatabase } from '../testbed/test-database.js';
import { sampleExport } from './sample-export.js';

const output = t.testdir();
const [acme] = await withTestDatabase('zulip-11/local', (url) => sampleExport(url, { realm: 'acme', output })) as [string];
const out = new PassThrough();
const [content, counts] = await Promise.all([buffer(out), writeNdjson(acme, out, { filesDirectory: undefined })]);

/** The stream in pieces of `size` bytes. */
// eslint-disable-next-line @typescript-eslint/require-await -- an iterable of the shape that stdin has
async function* pieces(size: number, until = content.length): AsyncGenerator<Buffer> {
  for (let at = 0; at < until; at += size) yield content.subarray(at, Math.min(at + size, until));
}

function query(database: string, sql: string): unknown {
  const db = new sqlite.Database(database, { readOnly: true });
  try {
    return db.get(sql);
  } finally {
    db.close();
  }
}

t.test('the example loads every row', async (t) => {
  const database = join(t.testdir(), 'acme.sqlite');
  t.equal(await load(pieces(10_007), database), counts.lines);
  for (const [table, rows] of Object.entries(counts.rows)) {
    if (rows > 0) t.match(query(database, `SELECT count(*) AS n FROM "${table}"`), { n: rows }, table);
  }
  t.match(query(database, 'SELECT count(*) AS n FROM files'), { n: counts.files });
  t.match(query(database, `
    SELECT count(*) AS n FROM zerver_usermessage um
    JOIN zerver_message m ON m.id = um.message JOIN zerver_userprofile u ON u.id = um.user_profile`), { n: counts.rows.zerver_usermessage as number });
});

t.test('the example loads nothing of a stream that was cut', async (t) => {
  const trailer = content.lastIndexOf('\n', content.length - 2) + 1;
  for (const until of [trailer, content.indexOf('\n', content.length / 2) + 1]) {
    const database = join(t.testdir(), 'acme.sqlite');
    await t.rejects(load(pieces(65_536, until), database), { message: /cut/ });
    t.throws(() => query(database, 'SELECT count(*) FROM zerver_realm'), { message: /no such table/ });
  }
});
