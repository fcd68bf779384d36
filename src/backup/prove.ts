/**
 * The proof of a backup: it was restored, and now every table is read back and compared, by its number of rows and their digest,
 * with what was read in the snapshot of the source.
 */
import type pg from 'pg';
import { RealmliftError } from '../errors.js';
import { tellPhase, tellProgress } from '../narration.js';
import { connect } from '../snapshot/connect.js';
import type { ConnectionSettings } from '../snapshot/connection-settings.js';
import { runTasks } from '../snapshot/session-pool.js';
import type { SessionTask } from '../snapshot/session-pool.js';
import { BEGIN } from '../snapshot/take-snapshot.js';
import { addSchemas, schemasForPlanning } from '../snapshot/unqualified-names.js';
import { partNamed, type Contents, type SavedTable, type TablePart } from './contents/backup-contents.js';
import type { CopyFormat, RowCount } from './rows/row-counter.js';
import { EMPTY_DIGEST, addDigests } from './rows/row-hash.js';
import { countRows } from './save/save-rows.js';
import type { RowSelection } from './save/save-rows.js';
import { largeObjectQuery, rowQuery } from './source/row-query.js';
import { qualified, sequenceValues } from './source/source-catalog.js';
import type { SequenceValue } from './source/source-catalog.js';

/** The step's name. */
export const COMPARISON = 'comparison';

export interface Proof {
  readonly tables: number;
  readonly rows: number;
}

/**
 * @param settings the restored database
 * @throws RealmliftError PROOF_FAILED naming the tables and sequences that differ
 */
export async function prove(contents: Contents, settings: ConnectionSettings, jobs: number, stop: AbortSignal): Promise<Proof> {
  const differences: string[] = [];
  let rows = 0;
  const bytesOf = (parts: readonly TablePart[]): number => parts.reduce((sum, { part }) => sum + partNamed(contents, part).bytes, 0);
  const compare = (selection: RowSelection | ((client: pg.Client) => RowSelection), parts: readonly TablePart[], what: string): SessionTask => async (client, signal) => {
    const found = await countRows(client, typeof selection === 'function' ? selection(client) : selection, signal);
    const expected = sumOf(parts);
    rows += found.rows;
    tellProgress(bytesOf(parts));
    if (found.rows !== expected.rows) differences.push(`${what}: ${found.rows} rows instead of ${expected.rows}`);
    else if (found.digest !== expected.digest) differences.push(`${what}: other values`);
  };
  const tables = comparable(contents.tables).map(({ what, query, format, parts }) => compare((client) => ({ table: what, select: query(client), format, encoding: contents.source.rowsIn }), parts, what));
  const pages = contents.largeObjects.length === 0 ? [] : [compare({ table: 'pg_largeobject', select: largeObjectQuery(), format: 'binary', encoding: undefined }, contents.largeObjects, 'large objects')];
  const sequences: SessionTask = async (client) => void differences.push(...differentSequences(contents.sequences, await sequenceValues(client)));

  tellPhase(COMPARISON, 'bytes', bytesOf([...contents.tables.flatMap((table) => table.parts), ...contents.largeObjects]));
  await runTasks([...tables, ...pages, sequences], jobs, () => reader(settings, stop), stop);
  if (differences.length > 0) {
    const shown = differences.sort().slice(0, 5).join('; ');
    throw new RealmliftError('PROOF_FAILED', 'restore', `the restored database differs from its source: ${shown}${differences.length > 5 ? `; and ${differences.length - 5} more` : ''}`, { hint: 'keep the backup before this one, and report this' });
  }
  return { tables: contents.tables.length, rows };
}

/** A session that can read every table, also those whose indexes name functions as they please. */
async function reader(settings: ConnectionSettings, stop: AbortSignal): Promise<pg.Client> {
  const client = await connect(settings, 'proof', stop);
  await client.query(BEGIN);
  await addSchemas(client, await schemasForPlanning(client));
  return client;
}

interface Comparable {
  readonly what: string;
  readonly query: (client: pg.Client) => string;
  readonly format: CopyFormat;
  readonly parts: readonly TablePart[];
}

/** Tables as they were read, save those whose rows were left to find their partition anew: these are compared with all their partitions. */
function comparable(tables: readonly SavedTable[]): Comparable[] {
  const out: Comparable[] = [];
  const byRoot = new Map<string, TablePart[]>();
  for (const table of tables) {
    const { schema, name, format, columns, root } = table;
    const known = root === undefined ? undefined : byRoot.get(JSON.stringify(root));
    if (root === undefined) {
      out.push({ what: `${schema}.${name}`, query: (client) => rowQuery(client, table), format, parts: table.parts });
    } else if (known === undefined) {
      const parts = [...table.parts];
      byRoot.set(JSON.stringify(root), parts);
      const query = (client: pg.Client): string => `SELECT ${columns.map((column) => client.escapeIdentifier(column)).join(', ')} FROM ${qualified(client, root)}`;
      out.push({ what: `${root.schema}.${root.name}`, query, format, parts });
    } else {
      known.push(...table.parts);
    }
  }
  return out;
}

function sumOf(parts: readonly TablePart[]): RowCount {
  return parts.reduce((sum, part) => ({ rows: sum.rows + part.rows, digest: addDigests(sum.digest, part.digest) }), { rows: 0, digest: EMPTY_DIGEST });
}

function differentSequences(expected: readonly SequenceValue[], found: readonly SequenceValue[]): string[] {
  const values = new Map(found.map(({ schema, name, value, called }) => [JSON.stringify([schema, name]), `${value} ${called}`]));
  return expected.filter(({ schema, name, value, called }) => values.get(JSON.stringify([schema, name])) !== `${value} ${called}`).map(({ schema, name }) => `sequence ${schema}.${name}: another value`);
}
