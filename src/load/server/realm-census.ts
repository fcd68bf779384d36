/**
 * What a new server holds of a realm, counted table by table: rows, and those of them that are younger than the load. An update compares it
 * with what the load wrote, and so knows whether somebody has used the realm meanwhile. What the server does of itself is no use
 * (server-jobs.ts).
 *
 * Which rows are a realm's is said by foreign keys: of the tables that lead to the realm, the shortest way.
 */
import type pg from 'pg';
import { idColumn } from '../../remap/reference-catalog.js';
import { isCounting, jobRows, OF_THE_SERVER } from './server-jobs.js';
import { hasColumn, qualify, type TargetTables } from './target-tables.js';

export interface Counted {
  readonly table: string;
  /** Without those that the server added by itself. */
  readonly rows: number;
  /** Rows by a transaction after the load's last. */
  readonly younger: number;
  /** Rows that the server's jobs have added since the load. */
  readonly added: number;
  /** Of what the server does not change by itself; undefined where it changes nothing, and the age of the rows says all. */
  readonly digest: string | undefined;
}

const REALM = 'zerver_realm';
const USERS = 'zerver_userprofile';

/** SQL over `t`: written by a transaction after the one whose number is $2, as txid_current() has it. */
const YOUNGER = 'age(t.xmin) < age(($2::bigint % 4294967296)::text::xid)';

/**
 * @param since the load's last transaction, as txid_current() numbers it; undefined counts none as younger
 * @param digests whether all digests are wanted, or those of tables with younger rows alone
 */
export async function realmCensus(client: pg.Client, tables: TargetTables, realm: number, since: string | undefined, digests: 'all' | 'where younger'): Promise<Counted[]> {
  const census: Counted[] = [];
  for (const [table, condition] of ownRows(client, tables)) {
    if (isCounting(table)) continue;
    const from = `FROM ${qualify(client, tables.schema, table)} AS t WHERE ${condition}`;
    const counted = since === undefined ? await count(client, from, realm) : await countSince(client, from, jobRows(table, tables), realm, since);
    const digest = table in OF_THE_SERVER && (digests === 'all' || counted.younger > 0) ? await digestOf(client, tables, table, from, realm) : undefined;
    census.push({ table, ...counted, digest });
  }
  return census;
}

/** Removes what the server's jobs have added to a table of the realm since the load. */
export async function removeAdded(client: pg.Client, tables: TargetTables, realm: number, since: string, table: string): Promise<void> {
  await client.query(`DELETE FROM ${qualify(client, tables.schema, table)} AS t WHERE ${ownRows(client, tables).get(table) ?? 'false'} AND ${YOUNGER} AND ${jobRows(table, tables)}`, [realm, since]);
}

/** Users of the realm whose rows are younger than the load. */
export async function youngerUsers(client: pg.Client, realm: number, since: string): Promise<number[]> {
  return (await client.query<{ id: number }>(`SELECT id::float8 FROM ${USERS} AS t WHERE realm_id = $1 AND ${YOUNGER}`, [realm, since])).rows.map(({ id }) => id);
}

type Counts = Pick<Counted, 'rows' | 'younger' | 'added'>;

async function count(client: pg.Client, from: string, realm: number): Promise<Counts> {
  const { rows: [row] } = await client.query<{ rows: number }>(`SELECT count(*)::float8 AS rows ${from}`, [realm]);
  return { rows: row?.rows ?? 0, younger: 0, added: 0 };
}

async function countSince(client: pg.Client, from: string, added: string, realm: number, since: string): Promise<Counts> {
  const { rows: [row] } = await client.query<{ rows: number; younger: number; added: number }>(`
    SELECT count(*)::float8 AS rows, (count(*) FILTER (WHERE ${YOUNGER}))::float8 AS younger, (count(*) FILTER (WHERE ${YOUNGER} AND ${added}))::float8 AS added ${from}`, [realm, since]);
  const found = row ?? { rows: 0, younger: 0, added: 0 };
  return { rows: found.rows - found.added, younger: found.younger - found.added, added: found.added };
}

async function digestOf(client: pg.Client, { columns }: TargetTables, table: string, from: string, realm: number): Promise<string> {
  const compared = (columns.get(table) ?? []).filter(({ name }) => OF_THE_SERVER[table]?.includes(name) !== true).map(({ name }) => `t.${client.escapeIdentifier(name)}`);
  const { rows: [row] } = await client.query<{ digest: string | null }>(`SELECT sum(hashtextextended(ROW(${compared.join(', ')})::text, 0)) AS digest ${from}`, [realm]);
  return row?.digest ?? '0';
}

/** By table: the condition for rows `t` of the realm `$1`. */
function ownRows(client: pg.Client, tables: TargetTables): Map<string, string> {
  const { schema, references, columns } = tables;
  const found = new Map([[REALM, 't.id = $1']]);
  const always = (table: string, column: string): boolean => columns.get(table)?.some(({ name, needed }) => name === column && needed) === true;
  // Parents whose children are looked at next.
  for (let level = [REALM]; level.length > 0;) {
    const ways = new Map<string, Way[]>();
    for (const parent of level) {
      if (!hasColumn(tables, parent, idColumn(parent))) continue;
      for (const { table, column } of references.get(parent) ?? []) {
        if (found.has(table)) continue;
        const own = client.escapeIdentifier(column);
        const condition = parent === REALM ? `t.${own} = $1` : `t.${own} IN (SELECT ${idColumn(parent)} FROM ${qualify(client, schema, parent)} AS t WHERE ${found.get(parent) ?? 'false'})`;
        ways.set(table, [...(ways.get(table) ?? []), { parent, condition, always: always(table, column) }]);
      }
    }
    for (const [table, all] of ways) found.set(table, shortest(all));
    level = [...ways.keys()];
  }
  return found;
}

interface Way {
  readonly parent: string;
  readonly condition: string;
  /** The column is never null. */
  readonly always: boolean;
}

/** Two ways at once would be answered by reading the rows of all realms: one that every row has is enough, and a user's is the best. */
function shortest(ways: readonly Way[]): string {
  const one = ways.find(({ parent, always }) => always && parent === USERS) ?? ways.find(({ always }) => always);
  return one === undefined ? `(${ways.map(({ condition }) => condition).join(' OR ')})` : one.condition;
}
