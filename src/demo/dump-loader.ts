/**
 * Loads a plain SQL dump of pg_dump, as psql would: the statements between two COPY blocks as one query, each block by the
 * COPY protocol. In COPY's text format a row is one line (newlines inside values are escaped), and `\.` ends the block.
 * https://www.postgresql.org/docs/current/sql-copy.html
 */
import { createReadStream } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';

const COPY_STATEMENT = /^COPY .* FROM stdin;\n$/;
/** psql's own commands, e.g. the \restrict that newer versions of pg_dump write. */
const PSQL_COMMAND = /^\\/;
/** PostgreSQL 13's; it bears on plans alone, and 12 does without. */
const SINCE_13 = /^ALTER STATISTICS .* SET STATISTICS \d+;\n$/;
const END_OF_DATA = '\\.\n';

/** @param file a gzipped dump in UTF-8 */
export async function loadDump(url: string, file: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const { rows: [server] } = await client.query<{ old: boolean }>("SELECT current_setting('server_version_num')::int < 130000 AS old");
    await pipeline(createReadStream(file), createGunzip(), async (chunks: AsyncIterable<Buffer>) => {
      const lines = splitLines(chunks);
      for await (const step of steps(lines)) {
        if (step.copies) await pipeline(Readable.from(rows(lines)), client.query(copyFrom(step.sql)));
        else await client.query(server?.old === true ? step.sql.split(/(?<=\n)/).filter((line) => !SINCE_13.test(line)).join('') : step.sql);
      }
    });
    await client.query('ANALYZE');
  } finally {
    await client.end();
  }
}

/** The dump's SQL: stretches of statements, and each COPY statement alone; its data are taken from `lines` before the next step. */
async function* steps(lines: AsyncGenerator<Buffer>): AsyncGenerator<{ sql: string; copies: boolean }> {
  let statements = '';
  for (let next = await lines.next(); next.done !== true; next = await lines.next()) {
    const line = next.value.toString();
    if (COPY_STATEMENT.test(line)) {
      yield { sql: statements, copies: false };
      yield { sql: line, copies: true };
      statements = '';
    } else if (!PSQL_COMMAND.test(line)) {
      statements += line;
    }
  }
  yield { sql: statements, copies: false };
}

async function* rows(lines: AsyncGenerator<Buffer>): AsyncGenerator<Buffer> {
  for (let next = await lines.next(); next.done !== true; next = await lines.next()) {
    if (next.value.length === END_OF_DATA.length && next.value.toString() === END_OF_DATA) return;
    yield next.value;
  }
  throw new Error('the dump ends inside a COPY block');
}

/** Lines with their newline. Not node:readline, which also splits at \r and at U+2028. */
async function* splitLines(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of chunks) {
    const data = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    let start = 0;
    for (let end = data.indexOf(0x0a); end !== -1; end = data.indexOf(0x0a, start)) {
      yield data.subarray(start, end + 1);
      start = end + 1;
    }
    rest = data.subarray(start);
  }
  if (rest.length > 0) yield rest;
}
