/**
 * Schemas altered at random: either everything that is known is exported as before and the report names the rest, or the export
 * is refused clearly, before any row. A name that looks secret is always refused.
 *
 *   ALTERATIONS=1000        how many of each sample server's schema (default 25, of make test-kill 300)
 *   ALTERATIONS_SEED=12345  other alterations than by default; a failure prints its seed
 */
import fc from 'fast-check';
import pg from 'pg';
import t from 'tap';
import { RealmliftError } from '../../src/errors.js';
import type { Mode } from '../../src/plan/views/condition.js';
import type { ExportPlan } from '../../src/plan/plan-export.js';
import { queryOf } from '../../src/plan/plan-tables.js';
import { findRealm } from '../../src/plan/realm.js';
import { looksSecret } from '../../src/plan/views/secret-names.js';
import { readSource } from '../../src/plan/source.js';
import { describeColumns } from '../../src/copy/describe-columns.js';
import { columnsOf } from '../../src/transform/columns-of.js';
import { differences } from '../isolation/differences.js';
import { exportedRows, FREE_CHOICE } from '../isolation/exported-rows.js';
import type { Row, Tables } from '../isolation/server-rows.js';
import { LONG } from '../testbed/long-tests.js';
import type { Dataset } from '../testbed/test-data.js';
import { withTestDatabase } from '../testbed/test-database.js';
import { alterations, statementsOf, UNSUPPORTED, type Alteration } from './alterations.js';

const RUNS = Number(process.env.ALTERATIONS ?? (LONG ? 300 : 25));
/** Found a column of a selection whose type nobody had checked. */
const SEED = { seed: Number(process.env.ALTERATIONS_SEED ?? (LONG ? Math.floor(Math.random() * 2 ** 31) : 767012456)) };

/** Codes of a clear refusal, before any row. */
const REFUSALS = ['SECRET_UNDECIDED', 'SCHEMA_UNKNOWN', 'TYPE_UNSUPPORTED', 'CONSENT_MESSAGE', 'NOT_ZULIP'];

interface Outcome { readonly plan: ExportPlan; readonly tables: Tables }

/** Exports the realm `closed` in the transaction as it is, as far as the types of all columns fit. */
async function attempt(client: pg.Client, mode: Mode): Promise<Outcome> {
  const source = await readSource(client, undefined);
  const realm = await findRealm(client, 'closed');
  const { plan, tables } = await exportedRows(client, source, { ...FREE_CHOICE, realm, mode, userId: undefined, approved: mode === 'consent' ? [61, 63] : undefined });
  for (const table of plan.tables) {
    const query = queryOf(table, plan.compiled, plan.parameters).replace(':message_ids', "'{}'::bigint[]");
    columnsOf(await describeColumns(client, query), table.keys, table.name);
  }
  return { plan, tables };
}

/** What is wrong with the export of an altered schema, given the export of the schema as it was. */
async function broken(client: pg.Client, change: Alteration, before: ReadonlyMap<Mode, Outcome>): Promise<string[]> {
  const found: string[] = [];
  for (const [mode, { plan: old, tables: rows }] of before) {
    await client.query('BEGIN');
    try {
      await client.query(statementsOf(change));
      const after = await attempt(client, mode);
      found.push(...unexpected(change, mode, old, rows, after).map((line) => `${mode}: ${line}`));
    } catch (error) {
      if (!(error instanceof RealmliftError)) found.push(`${mode}: ended with ${String(error)}`);
      else if (!REFUSALS.includes(error.code)) found.push(`${mode}: refused with ${error.line}`);
      else if (error.code === 'TYPE_UNSUPPORTED' && !(change.kind === 'add column' && UNSUPPORTED.includes(change.type))) found.push(`${mode}: ${error.line}`);
      else if (change.kind === 'add table' || (change.kind === 'add column' && !looksSecret(change.column) && error.code !== 'TYPE_UNSUPPORTED')) found.push(`${mode}: refused for nothing: ${error.line}`);
    } finally {
      await client.query('ROLLBACK');
    }
  }
  return found;
}

/** How an export that was not refused differs from what it should be. */
function unexpected(change: Alteration, mode: Mode, old: ExportPlan, rows: Tables, { plan, tables }: Outcome): string[] {
  const touched = old.tables.filter((table) => old.compiled.tables.get(table.name)?.view.table === change.table).map((table) => table.name);
  const exported = touched.length > 0;
  const { review, compiled } = plan;
  const leftOut = (column: string): boolean => touched.some((name) => compiled.tables.get(name)?.leftOut.includes(column) === true)
    || [...compiled.selections.values()].some((selection) => selection.leftOut.includes(column));
  const lines: string[] = [];
  const expected: Record<string, Row[]> = { ...rows };
  const edit = (work: (row: Record<string, unknown>, name: string) => void): void => {
    for (const name of touched) expected[name] = (expected[name] ?? []).map((row) => { const copy = { ...row }; work(copy, name); return copy; });
  };
  const keyOf = (name: string, column: string): string | undefined => {
    const table = old.tables.find((each) => each.name === name);
    const index = table?.columns.indexOf(column) ?? -1;
    return index === -1 ? undefined : table?.keys[index];
  };
  const ignored = new Set<string>();
  switch (change.kind) {
    case 'add column':
      if (exported && looksSecret(change.column)) lines.push('a column that looks secret was not refused');
      if (exported && !review.unknownColumns.includes(`${change.table}.${change.column}`)) lines.push('the new column is not named');
      for (const name of touched) if (name !== 'zerver_userprofile_crossrealm' && !leftOut(change.column)) ignored.add(`${name}.${change.column}`);
      break;
    case 'rename column':
      if (exported && looksSecret(change.to)) lines.push('a column that looks secret was not refused');
      if (exported && !review.unknownColumns.includes(`${change.table}.${change.to}`)) lines.push('the new name is not named');
      // Where the column is a foreign key, its new name too loses its _id.
      for (const name of touched) for (const key of [change.to, change.to.replace(/_id$/, '')]) ignored.add(`${name}.${key}`);
      edit((row, name) => { delete row[keyOf(name, change.column) ?? '']; });
      break;
    case 'drop column':
      edit((row, name) => { delete row[keyOf(name, change.column) ?? '']; });
      break;
    case 'retype column':
      if (change.type === 'bigint' || change.type === 'varchar') break;
      for (const name of touched) ignored.add(`${name}.${keyOf(name, change.column) ?? ''}`);
      // Other ids: the rows are the same, in another order.
      if (change.column === 'id') for (const name of touched) { expected[name] = []; if (rows[name]?.length === tables[name]?.length) tables[name] = []; }
      break;
    case 'drop table':
      for (const name of touched) delete expected[name];
      if (exported && !(review.notExported.has(change.table))) lines.push('the missing table is not named');
      // Names of clients that only this table mentions have no reason to travel.
      if (['zerver_useractivity', 'zerver_userstatus'].includes(change.table)) [expected.zerver_client, tables.zerver_client] = [[], []];
      break;
    case 'add table':
      if (change.table.startsWith('zerver_') && !review.unknownTables.includes(change.table)) lines.push('the new table is not named');
  }
  // What a column of the realm's defaults no longer covers is no longer replaced.
  if (mode === 'consent' && change.table === 'zerver_realmuserdefault' && 'column' in change) {
    for (const name of ['zerver_userprofile', 'zerver_userprofile_mirrordummy']) ignored.add(`${name}.${change.column}`);
  }
  const differing = differences(expected, tables).filter((line) => ![...ignored].some((place) => line.startsWith(`${place}: `)));
  if (JSON.stringify(tables).includes('LEAKED')) lines.push('a row of an unknown table travels');
  return [...lines, ...differing];
}

for (const dataset of ['zulip-11/local', 'zulip-8/local', 'zulip-4/local'] satisfies Dataset[]) {
  t.test(`${RUNS} alterations of ${dataset}`, async (t) => {
    await withTestDatabase(dataset, async (url) => {
      const client = new pg.Client({ connectionString: url });
      await client.connect();
      try {
        await client.query('SET search_path = zulip');
        await client.query('BEGIN');
        const before = new Map<Mode, Outcome>([['full', await attempt(client, 'full')], ['consent', await attempt(client, 'consent')]]);
        const { catalog, registry } = await readSource(client, undefined);
        await client.query('ROLLBACK');
        const tables = [...new Set([...registry.tables.values()].map((view) => view.table)), 'zerver_draft', 'zerver_attachment_messages'].filter((table) => catalog.has(table));
        let runs = 0;
        await fc.assert(fc.asyncProperty(alterations(catalog, tables), async (change) => {
          runs++;
          const found = await broken(client, change, before);
          if (found.length > 0) throw new Error(found.slice(0, 8).join('\n'));
        }), { numRuns: RUNS, endOnFailure: true, ...SEED });
        t.ok(runs >= RUNS);
      } finally {
        await client.end();
      }
    });
  });
}
