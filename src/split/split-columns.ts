/** The columns, keys and references of Zulip's tables as a split needs them. */
import type pg from 'pg';

export interface SplitColumn {
  readonly name: string;
  /** Name in pg_type, of a domain that of its base. */
  readonly type: string;
  readonly typeOid: number;
  /** Of varchar(n). */
  readonly length: number | undefined;
  readonly nullable: boolean;
}

export interface Reference {
  readonly table: string;
  readonly column: string;
  readonly nullable: boolean;
  readonly referenced: string;
  readonly key: string;
}

export interface SplitTableShape {
  readonly name: string;
  readonly columns: readonly SplitColumn[];
  /** The single column of its primary key. */
  readonly key: string | undefined;
}

/** Of a table in partitions, whose rows come and go by its own name. */
export async function tableShapes(client: pg.Client, schema: string): Promise<SplitTableShape[]> {
  const { rows } = await client.query<{ name: string; key: string | null; columns: SplitColumn[] }>(`
    SELECT c.relname AS name,
           (SELECT a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0] WHERE i.indrelid = c.oid AND i.indisprimary AND i.indnatts = 1) AS key,
           (SELECT json_agg(json_build_object('name', a.attname, 'type', b.typname, 'typeOid', b.oid::int8, 'nullable', NOT a.attnotnull,
                                              'length', CASE WHEN b.typname = 'varchar' AND a.atttypmod > 4 THEN a.atttypmod - 4 END) ORDER BY a.attnum)
            FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid JOIN pg_type b ON b.oid = CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END
            WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '') AS columns
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY c.relname`, [schema]);
  return rows.map(({ name, key, columns }) => ({ name, key: key ?? undefined, columns: columns ?? [] }));
}

/** Of a table in partitions its own: PostgreSQL has one more for each partition that refers, or is referred to. */
export async function references(client: pg.Client, schema: string): Promise<Reference[]> {
  const { rows } = await client.query<Reference>(`
    SELECT c.relname AS table, a.attname AS column, NOT a.attnotnull AS nullable, f.relname AS referenced, b.attname AS key
    FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
         JOIN pg_class f ON f.oid = k.confrelid JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.conkey[1] JOIN pg_attribute b ON b.attrelid = f.oid AND b.attnum = k.confkey[1]
    WHERE n.nspname = $1 AND f.relnamespace = n.oid AND k.contype = 'f' AND k.conparentid = 0 AND array_length(k.conkey, 1) = 1 ORDER BY c.relname, a.attname`, [schema]);
  return rows;
}
