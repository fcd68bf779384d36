/** The new server's tables as a load must know them: columns that have to be filled, what refers to what, where ids come from. */
import type pg from 'pg';

/** How an export writes a column's values: `time` stands in JSON as seconds since the epoch, `json` as itself, `array` as a list. */
export type Kind = 'text' | 'json' | 'time' | 'array';

export interface TargetColumn {
  readonly name: string;
  readonly kind: Kind;
  /** It may not be null and the database has no default for it. */
  readonly needed: boolean;
}

export interface TargetTables {
  readonly schema: string;
  readonly columns: ReadonlyMap<string, readonly TargetColumn[]>;
  /** Tables that a table's foreign keys point to, itself left out. */
  readonly parents: ReadonlyMap<string, ReadonlySet<string>>;
  /** Foreign keys of one column, by the table that they point to. */
  readonly references: ReadonlyMap<string, readonly Reference[]>;
  /** The sequence of each table's id, as SQL names it. */
  readonly sequences: ReadonlyMap<string, string>;
}

export interface Reference {
  readonly table: string;
  readonly column: string;
}

/** Messages whose texts are still to be indexed, by number and without a foreign key: a trigger of Zulip's writes it. */
export const TO_INDEX = { table: 'fts_update_log', column: 'message_id', owner: 'zerver_message' };

/** OIDs of json, jsonb, timestamp and timestamptz. src/include/catalog/pg_type.dat */
const [JSON_TYPES, TIME_TYPES] = [new Set([114, 3802]), new Set([1114, 1184])];

export async function readTargetTables(client: pg.Client, schema: string): Promise<TargetTables> {
  const { rows: columns } = await client.query<{ table: string; name: string; type: number; array: boolean; needed: boolean }>(`
    SELECT c.relname AS table, a.attname AS name, CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END::int8::float8 AS type, t.typcategory = 'A' AS array,
           a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AS needed
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_type t ON t.oid = a.atttypid
    WHERE n.nspname = $1 AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' ORDER BY c.relname, a.attnum`, [schema]);
  const byTable = new Map<string, TargetColumn[]>();
  for (const { table, name, type, array, needed } of columns) {
    const kind = JSON_TYPES.has(type) ? 'json' : TIME_TYPES.has(type) ? 'time' : array ? 'array' : 'text';
    byTable.set(table, [...(byTable.get(table) ?? []), { name, kind, needed }]);
  }
  const { rows: keys } = await client.query<{ child: string; parent: string; column: string | null }>(`
    SELECT c.relname AS child, p.relname AS parent, CASE WHEN array_length(k.conkey, 1) = 1 THEN a.attname END AS column
    FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_class p ON p.oid = k.confrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.conkey[1]
    WHERE k.contype = 'f' AND n.nspname = $1 ORDER BY c.relname, a.attnum`, [schema]);
  const parents = new Map<string, Set<string>>();
  const references = new Map<string, Reference[]>();
  for (const { child, parent, column } of keys) {
    if (child !== parent) parents.set(child, (parents.get(child) ?? new Set()).add(parent));
    if (column !== null) references.set(parent, [...(references.get(parent) ?? []), { table: child, column }]);
  }
  // The sequence that a column owns, or takes its default from: until Zulip 5 the one of usermessages is not owned.
  const { rows: sequences } = await client.query<{ table: string; sequence: string }>(`
    SELECT t.relname AS table, format('%I.%I', sn.nspname, s.relname) AS sequence
    FROM (SELECT objid AS sequence, refobjid AS table, refobjsubid AS column FROM pg_depend WHERE classid = 'pg_class'::regclass AND refclassid = 'pg_class'::regclass AND deptype IN ('a', 'i')
          UNION SELECT k.refobjid, d.adrelid, d.adnum FROM pg_attrdef d JOIN pg_depend k ON k.classid = 'pg_attrdef'::regclass AND k.objid = d.oid AND k.refclassid = 'pg_class'::regclass) AS used
    JOIN pg_class s ON s.oid = used.sequence AND s.relkind = 'S' JOIN pg_namespace sn ON sn.oid = s.relnamespace
    JOIN pg_class t ON t.oid = used.table JOIN pg_namespace n ON n.oid = t.relnamespace JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = used.column
    WHERE n.nspname = $1 AND a.attname = 'id'`, [schema]);
  return { schema, columns: byTable, parents, references, sequences: new Map(sequences.map(({ table, sequence }) => [table, sequence])) };
}

/** Tables and columns come and go with the versions of Zulip. */
export function hasColumn({ columns }: TargetTables, table: string, column: string): boolean {
  return columns.get(table)?.some(({ name }) => name === column) === true;
}

/** `schema.table`, quoted. */
export function qualify(client: pg.Client, schema: string, table: string): string {
  return `${client.escapeIdentifier(schema)}.${client.escapeIdentifier(table)}`;
}
