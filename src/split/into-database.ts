/** A split into an empty database of another server, or of the same. */
import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import { RestoreJournal } from '../backup/restore-journal.js';
import { restorePostData } from '../backup/restore-post-data.js';
import { executeEntry, executeSettings } from '../backup/restore-schema.js';
import type { SchemaEntry, SchemaScript } from '../backup/schema-script.js';
import { runTasks } from '../backup/session-pool.js';
import { qualified, sequenceValues } from '../backup/source-catalog.js';
import { copyIn } from '../copy/copy-in.js';
import { copyRows } from '../copy/copy-rows.js';
import { forCopying } from '../copy/copy-socket.js';
import { RealmliftError, asRealmliftError } from '../errors.js';
import { useSchema } from '../plan/search-path.js';
import { connect } from '../snapshot/connect.js';
import type { ConnectionSettings } from '../snapshot/connection-settings.js';
import { joinSnapshot } from '../snapshot/snapshot.js';
import { asPath } from '../snapshot/unqualified-names.js';
import { tellPiece } from '../narration.js';
import { chunksOf } from './chunk-queue.js';
import { cutReferences } from './cut-references.js';
import { sizeOf, tellRowsAhead } from './split-progress.js';
import type { PreparedSplit, SplitOutcome } from './prepared-split.js';
import { scriptFor } from './split-schema.js';

type Connect = () => Promise<pg.Client>;

/** @throws RealmliftError DATABASE_NOT_EMPTY, ENCODING, SCHEMA_REFUSED, … */
export async function intoDatabase(split: PreparedSplit, target: ConnectionSettings, jobs: number): Promise<SplitOutcome> {
  const { snapshot, source, encoding } = split;
  const session: Connect = async () => {
    const client = await connect(target, 'split');
    await client.query('SET synchronous_commit = off; SET client_min_messages = warning');
    return client;
  };
  const holder = await session();
  try {
    await refuseOtherEncoding(holder, encoding);
    const journal = await RestoreJournal.open(holder, randomUUID());
    const path = asPath(holder, split.path);
    const [before, after] = [await scriptFor(split, 'pre-data', holder), await scriptFor(split, 'post-data', holder)];
    const warnings: string[] = [];
    const execute = async (client: pg.Client, entries: readonly SchemaEntry[]): Promise<void> => {
      for (const entry of entries) {
        const warning = await executeEntry(client, entry, path);
        if (warning !== undefined) warnings.push(warning);
      }
    };
    const maker = await session();
    await journal.step(maker, 'pre-data', async () => {
      await executeSettings(maker, before.settings);
      await execute(maker, before.entries);
    }).finally(() => maker.end());
    const sizes = await copyAll(split, jobs, session);
    const cut = await cutReferences(holder, source.schema, split.references);
    for (const sequence of await sequenceValues(snapshot.client)) {
      await holder.query('SELECT pg_catalog.setval($1::regclass, $2, $3)', [qualified(holder, sequence), sequence.value, sequence.called]);
    }
    const [last, rest] = eventTriggersLast(after);
    warnings.push(...(await restorePostData(rest, { jobs, connect: session, path, sizes }, journal, snapshot.lost)));
    await journal.finish(holder, () => Promise.resolve(), () => execute(holder, last));
    return { tables: split.rows.length, rows: [...sizes.values()].reduce((sum, each) => sum + each, 0), cut, warnings };
  } catch (error) {
    throw asRealmliftError(error, 'restore');
  } finally {
    await holder.end().catch(() => undefined);
  }
}

/** @returns event triggers, and the script without them */
export function eventTriggersLast(script: SchemaScript): [SchemaEntry[], SchemaScript] {
  const last = script.entries.filter(({ type }) => type === 'EVENT TRIGGER');
  return [last, { ...script, entries: script.entries.filter((entry) => !last.includes(entry)) }];
}

async function refuseOtherEncoding(client: pg.Client, encoding: string): Promise<void> {
  const { rows: [row] } = await client.query<{ encoding: string }>(`SELECT current_setting('server_encoding') AS encoding`);
  if (row?.encoding === encoding) return;
  throw new RealmliftError('ENCODING', 'restore', `the database is encoded in ${row?.encoding ?? 'an unknown way'}, the source in ${encoding}`, { hint: `createdb --template=template0 --encoding=${encoding} NAME` });
}

async function* counting(chunks: AsyncIterable<Buffer>, more: (bytes: number) => void): AsyncGenerator<Buffer> {
  for await (const chunk of chunks) {
    more(chunk.length);
    yield chunk;
  }
}

/** @returns rows by table, `schema.name` */
async function copyAll(split: PreparedSplit, jobs: number, session: Connect): Promise<Map<string, number>> {
  const { snapshot, source, rows: tables } = split;
  const counts = new Map<string, number>();
  tellRowsAhead(split);
  const order = [...tables].sort((a, b) => (source.catalog.get(b.table)?.bytes ?? 0) - (source.catalog.get(a.table)?.bytes ?? 0));
  const free: pg.Client[] = [];
  const readers: pg.Client[] = [];
  const newReader = async (): Promise<pg.Client> => {
    const reader = await joinSnapshot({ ...snapshot, settings: forCopying(snapshot.settings) }, 'split');
    readers.push(reader);
    await useSchema(reader, source.schema);
    return reader;
  };
  try {
    await runTasks(order.map(({ table, columns, select }) => async (writer: pg.Client, signal: AbortSignal) => {
      const reader = free.pop() ?? (await newReader());
      const target = `${qualified(writer, { schema: source.schema, name: table })} (${columns.map((column) => writer.escapeIdentifier(column)).join(', ')})`;
      const piece = tellPiece(sizeOf(split, table));
      await writer.query('BEGIN');
      counts.set(`${source.schema}.${table}`, await copyIn(writer, target, counting(chunksOf((consume) => copyRows(reader, select, consume, table, 'text')), piece.more), signal));
      await writer.query('COMMIT');
      piece.done();
      free.push(reader);
    }), jobs, session, snapshot.lost);
    return counts;
  } finally {
    await Promise.all(readers.map((client) => client.end().catch(() => undefined)));
  }
}
