/** A split as a script that psql loads into an empty database: all of it, or nothing. */
import { qualified } from '../backup/source/source-catalog.js';
import { copyRows } from '../copy/copy-rows.js';
import { forCopying } from '../copy/copy-socket.js';
import { tellPiece, tellProgress } from '../narration.js';
import { sum } from '../numbers.js';
import { useSchema } from '../plan/search-path.js';
import { joinSnapshot, withSession } from '../snapshot/snapshot.js';
import { cutScript } from './cut-references.js';
import { MessageBatches } from './split-messages.js';
import { sizeOf, sizeOfMessages } from './split-progress.js';
import type { SplitRows } from './split-rows.js';
import type { PreparedSplit, SplitOutcome, SplitSteps } from './prepared-split.js';
import { splitSchema } from './split-schema.js';

/** Takes the next bytes; resolves when they are no longer needed and there is room for more. */
export type Write = (bytes: Buffer) => Promise<void>;

export interface ScriptTarget {
  readonly kind: 'script';
  readonly write: Write;
  /** Called behind the last byte: the script is whole, whatever becomes of the files. */
  readonly finish: () => Promise<void>;
}

/** Its last line alone makes any of it last: a part of it that is loaded leaves nothing. */
const HEADER = `-- Realms of a Zulip server, as realmlift split them off. Load it into an empty database:
--   psql --no-psqlrc --dbname=NAME --file=THIS
\\set ON_ERROR_STOP on
`;

/** References that are cut are counted where the script is loaded, by a NOTICE each. */
export async function intoScript(split: PreparedSplit, { write, finish }: ScriptTarget, steps: SplitSteps): Promise<SplitOutcome> {
  const { snapshot, source, encoding } = split;
  const text = (sql: string): Promise<void> => write(Buffer.from(sql, 'utf8'));
  /** Scripts have one character a byte. */
  const script = (sql: string): Promise<void> => write(Buffer.from(sql, 'latin1'));
  const { preData, postData, last, restrictKey, warnings } = await splitSchema(split, undefined);
  // Around all of it: rows too are what the source's server sends, which could hide commands for the psql that loads them.
  const [restrict, unrestrict] = restrictKey === undefined ? ['', ''] : [`\\restrict ${restrictKey}\n`, `\n\\unrestrict ${restrictKey}\n`];
  steps.begun();
  await text(`${HEADER}${restrict}BEGIN;\n`);
  await script(preData.settings);
  for (const { sql } of preData.entries) await script(sql);
  const counts = new Map<string, number>();
  const reader = await joinSnapshot({ ...snapshot, settings: forCopying(snapshot.settings) }, 'split');
  const copy = async ({ table, columns, selects }: SplitRows, onBytes: (bytes: number) => void): Promise<void> => {
    const names = columns.map((column) => reader.escapeIdentifier(column)).join(', ');
    await text(`\n-- Rows of ${table}\nCOPY ${qualified(reader, { schema: source.schema, name: table })} (${names}) FROM STDIN;\n`);
    for (const select of selects) {
      const { rows } = await copyRows(reader, select, (chunk) => {
        onBytes(chunk.length);
        return write(chunk);
      }, table, 'text', encoding === 'UTF8' ? undefined : encoding);
      counts.set(table, (counts.get(table) ?? 0) + rows);
    }
    await text('\\.\n');
    snapshot.lost.throwIfAborted();
  };
  try {
    await useSchema(reader, source.schema);
    await withSession(snapshot, 'split', async (ids) => {
      await useSchema(ids, source.schema);
      const batches = new MessageBatches(ids, split.messages);
      for (let batch = await batches.next(); batch !== undefined; batch = await batches.next()) {
        for (const rows of batch.rows) await copy(rows, () => undefined);
        await batch.clients(reader);
        tellProgress(sizeOfMessages(split, batch.messages));
      }
      for (const rows of [...split.rows, ...(await split.clients(batches.clients))]) {
        const piece = tellPiece(sizeOf(split, rows.table));
        await copy(rows, piece.more);
        piece.done();
      }
    });
    await text(`\n${cutScript(source, split.references)}\n`);
    for (const sequence of split.sequences) {
      await text(`SELECT pg_catalog.setval(${reader.escapeLiteral(qualified(reader, sequence))}, ${sequence.value}, ${sequence.called});\n`);
    }
  } finally {
    await reader.end().catch(() => undefined);
  }
  steps.read();
  for (const { sql } of [...postData.entries, ...last]) await script(sql);
  await text(`\nCOMMIT;\n${unrestrict}`);
  await finish();
  return { tables: counts.size, rows: sum(counts.values()), cut: [], warnings };
}
