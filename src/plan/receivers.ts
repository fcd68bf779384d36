/** The users whose usermessages travel, and queries that name them one by one where their selection is joined. */
import type pg from 'pg';
import { inline } from './parameters.js';
import type { ExportPlan } from './plan-export.js';
import { withSelections, type CompiledRegistry, type CompiledView } from './views/compile-view.js';

/** Their selection. */
export const RECEIVERS = 'usermessage_user';

/** From this server_version_num on lists of constants are hashed. */
export const HASHES_LISTS = 140_000;

/** Their ids, rising; none where nobody's travel. @param client a session in the snapshot */
export async function readReceivers(client: pg.Client, { compiled, parameters }: ExportPlan): Promise<number[]> {
  const selection = compiled.selections.get(RECEIVERS);
  if (selection === undefined) return [];
  const { rows } = await client.query<{ id: number }>(`SELECT q.id::float8 AS id FROM (${inline(withSelections(selection, compiled.selections), parameters)}) AS q ORDER BY q.id`);
  return rows.map(({ id }) => id);
}

/**
 * How many a query names at most: of a file with 12,000 usermessages the server has 1.7 of 6.5 ms less by 30 names, 0.7 by 1000, and as
 * many more by 10,000.
 */
const MOST = 1000;

/** Those that the query of a file may name: undefined where a join is cheaper, since they are too many or the server would compare each row with each of them. */
export function fewReceivers(receivers: readonly number[], serverVersion: number): readonly number[] | undefined {
  return serverVersion < HASHES_LISTS || receivers.length > MOST ? undefined : receivers;
}

const JOINED = new RegExp(`\\nJOIN ${RECEIVERS} (\\w+) ON \\1\\.id = (\\w+)\\.user_profile_id\\nWHERE `);

/**
 * A condition instead of the join: half the time where rows are counted and not sent, and half of that with the users by name. Their
 * list says no type, and takes the column's: only then is it hashed. IS TRUE keeps the server from looking for all rows of these users.
 *
 * @param view chosen by the receivers alone @param receivers undefined to read their selection
 */
export function byReceivers(view: CompiledView, receivers: readonly number[] | undefined): CompiledView {
  const list = (alias: string): string => (receivers === undefined ? `IN (SELECT ${alias}.id FROM ${RECEIVERS} ${alias})` : `= ANY ('{${receivers.join(',')}}')`);
  const sql = view.sql.replace(JOINED, (_, alias: string, rows: string) => `\nWHERE (${rows}.user_profile_id ${list(alias)}) IS TRUE AND `);
  return { ...view, sql, reads: sql === view.sql || receivers === undefined ? view.reads : view.reads.filter((name) => name !== RECEIVERS) };
}

/** Is whose usermessages travel decided by the receivers alone? */
export function chosenByReceivers(view: CompiledView | undefined): boolean {
  return view?.reads.join() === RECEIVERS && view.tables.join() === 'zerver_usermessage';
}

/** The same rows, asked for by the list of these receivers; unchanged where others decide too. */
export function namingReceivers(compiled: CompiledRegistry, receivers: readonly number[]): CompiledRegistry {
  const view = compiled.tables.get('zerver_usermessage');
  if (view === undefined || view.closed !== undefined || !chosenByReceivers(view)) return compiled;
  return { ...compiled, tables: new Map([...compiled.tables, [view.name, byReceivers(view, receivers)]]) };
}
