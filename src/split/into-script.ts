/** A split as a script that psql loads into an empty database: all of it, or nothing. */
import { sequenceValues, qualified } from '../backup/source-catalog.js';
import { copyRows } from '../copy/copy-rows.js';
import { forCopying } from '../copy/copy-socket.js';
import { useSchema } from '../plan/search-path.js';
import { tellPiece } from '../narration.js';
import { joinSnapshot } from '../snapshot/snapshot.js';
import { cutScript } from './cut-references.js';
import { eventTriggersLast } from './into-database.js';
import { sizeOf, tellRowsAhead } from './split-progress.js';
import type { PreparedSplit, SplitOutcome } from './prepared-split.js';
import { scriptFor } from './split-schema.js';

/** Takes the next bytes; resolves when there is room for more. */
export type Write = (bytes: Buffer) => Promise<void>;

const HEADER = `-- Realms of a Zulip server, as realmlift split them off. Load it into an empty database:
--   psql --no-psqlrc --dbname=NAME --file=THIS
\\set ON_ERROR_STOP on
BEGIN;
`;

/** References that are cut are counted where the script is loaded, by a NOTICE each. */
export async function intoScript(split: PreparedSplit, write: Write): Promise<SplitOutcome> {
  const { snapshot, source, encoding } = split;
  const text = (sql: string): Promise<void> => write(Buffer.from(sql, 'utf8'));
  /** Scripts have one character a byte. */
  const script = (sql: string): Promise<void> => write(Buffer.from(sql, 'latin1'));
  const [before, after] = [await scriptFor(split, 'pre-data', undefined), await scriptFor(split, 'post-data', undefined)];
  await text(HEADER);
  await script(before.settings);
  for (const { sql } of before.entries) await script(sql);
  const reader = await joinSnapshot({ ...snapshot, settings: forCopying(snapshot.settings) }, 'split');
  let rows = 0;
  tellRowsAhead(split);
  try {
    await useSchema(reader, source.schema);
    for (const { table, columns, select } of split.rows) {
      const names = columns.map((column) => reader.escapeIdentifier(column)).join(', ');
      await text(`\n-- Rows of ${table}\nCOPY ${qualified(reader, { schema: source.schema, name: table })} (${names}) FROM STDIN;\n`);
      const piece = tellPiece(sizeOf(split, table));
      rows += (await copyRows(reader, select, (chunk) => {
        piece.more(chunk.length);
        return write(Buffer.from(chunk));
      }, table, 'text', encoding === 'UTF8' ? undefined : encoding)).rows;
      await text('\\.\n');
      piece.done();
    }
    await text(`\n${cutScript(source.schema, split.references)}\n`);
    for (const sequence of await sequenceValues(snapshot.client)) {
      await text(`SELECT pg_catalog.setval(${reader.escapeLiteral(qualified(reader, sequence))}, ${sequence.value}, ${sequence.called});\n`);
    }
  } finally {
    await reader.end().catch(() => undefined);
  }
  const [last, rest] = eventTriggersLast(after);
  for (const { sql } of [...rest.entries, ...last]) await script(sql);
  await text('\nCOMMIT;\n');
  return { tables: split.rows.length, rows, cut: [], warnings: [] };
}
