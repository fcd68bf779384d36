/**
 * What a new server holds of a realm, counted table by table: rows, and those of them that are younger than the load. An update compares it
 * with what the load wrote, and so knows whether somebody has used the realm meanwhile.
 *
 * Which rows are a realm's is said by foreign keys: of the tables that lead to the realm, the shortest way. What a server does of itself
 * is no use: statistics that it counts every hour, and columns that its workers fill.
 */
import type pg from 'pg';
import { qualify, type TargetTables } from './target-tables.js';

export interface Counted {
  readonly table: string;
  readonly rows: number;
  /** Rows by a transaction after the load's last. */
  readonly younger: number;
  /** Of what the server does not change by itself; undefined where it changes nothing, and the age of the rows says all. */
  readonly digest: string | undefined;
}

const REALM = 'zerver_realm';

/** Columns that a server's workers fill: the index of words, thumbnails, and whether a channel is quiet. */
const OF_THE_SERVER: Readonly<Record<string, readonly string[]>> = {
  zerver_message: ['search_tsvector', 'search_pgroonga'], zerver_imageattachment: ['thumbnail_metadata'], zerver_stream: ['is_recently_active'],
};

/** Of these a server adds rows by itself. */
export function isCounting(table: string): boolean {
  return table.startsWith('analytics_');
}

/**
 * @param since the load's last transaction, as txid_current() numbers it; undefined counts none as younger
 * @param digests whether all digests are wanted, or those of tables with younger rows alone
 */
export async function realmCensus(client: pg.Client, tables: TargetTables, realm: number, since: string | undefined, digests: 'all' | 'where younger'): Promise<Counted[]> {
  const census: Counted[] = [];
  for (const [table, condition] of ownRows(client, tables)) {
    if (isCounting(table)) continue;
    const younger = since === undefined ? '0' : `count(*) FILTER (WHERE age(t.xmin) < age(($2::bigint % 4294967296)::text::xid))`;
    const from = `FROM ${qualify(client, tables.schema, table)} AS t WHERE ${condition}`;
    const { rows: [row] } = await client.query<{ rows: number; younger: number }>(`SELECT count(*)::float8 AS rows, (${younger})::float8 AS younger ${from}`, since === undefined ? [realm] : [realm, since]);
    const counted = { table, rows: row?.rows ?? 0, younger: row?.younger ?? 0 };
    const digest = table in OF_THE_SERVER && (digests === 'all' || counted.younger > 0) ? await digestOf(client, tables, table, from, realm) : undefined;
    census.push({ ...counted, digest });
  }
  return census;
}

async function digestOf(client: pg.Client, { columns }: TargetTables, table: string, from: string, realm: number): Promise<string> {
  const compared = (columns.get(table) ?? []).filter(({ name }) => OF_THE_SERVER[table]?.includes(name) !== true).map(({ name }) => `t.${client.escapeIdentifier(name)}`);
  const { rows: [row] } = await client.query<{ digest: string | null }>(`SELECT sum(hashtextextended(ROW(${compared.join(', ')})::text, 0)) AS digest ${from}`, [realm]);
  return row?.digest ?? '0';
}

/** By table: the condition for rows `t` of the realm `$1`. */
function ownRows(client: pg.Client, { schema, references, columns }: TargetTables): Map<string, string> {
  const found = new Map([[REALM, 't.id = $1']]);
  // Parents whose children are looked at next.
  for (let level = [REALM]; level.length > 0;) {
    const conditions = new Map<string, string[]>();
    for (const parent of level) {
      for (const { table, column } of references.get(parent) ?? []) {
        if (found.has(table) || columns.get(parent)?.some(({ name }) => name === keyOf(parent)) !== true) continue;
        const own = client.escapeIdentifier(column);
        const condition = parent === REALM ? `t.${own} = $1` : `t.${own} IN (SELECT ${keyOf(parent)} FROM ${qualify(client, schema, parent)} AS t WHERE ${found.get(parent) ?? 'false'})`;
        conditions.set(table, [...(conditions.get(table) ?? []), condition]);
      }
    }
    for (const [table, all] of conditions) found.set(table, all.length === 1 ? all.join('') : `(${all.join(' OR ')})`);
    level = [...conditions.keys()];
  }
  return found;
}

/** A table that is another's child has its key. */
function keyOf(table: string): string {
  return table === 'zerver_namedusergroup' ? 'usergroup_ptr_id' : 'id';
}
