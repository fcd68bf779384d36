/** References of a split's rows to rows that stayed: nulled where the column may be empty, and else the row is left out. */
import type pg from 'pg';
import { quote } from '../plan/compile-view.js';
import type { Reference } from './split-columns.js';

export interface CutReference {
  readonly table: string;
  readonly column: string;
  readonly referenced: string;
  /** `nulled`: the reference is gone; `left out`: the row. */
  readonly how: 'nulled' | 'left out';
  readonly rows: number;
}

/** Before constraints are made. Leaving rows out can cut further references: until none is left. */
export async function cutReferences(client: pg.Client, schema: string, all: readonly Reference[]): Promise<CutReference[]> {
  const cut = new Map<Reference, number>();
  for (let again = true; again;) {
    again = false;
    for (const reference of all) {
      const { rowCount } = await client.query(cutStatement(schema, reference));
      if ((rowCount ?? 0) === 0) continue;
      again ||= !reference.nullable;
      cut.set(reference, (cut.get(reference) ?? 0) + (rowCount ?? 0));
    }
  }
  return [...cut].map(([{ table, column, referenced, nullable }, rows]) => ({ table, column, referenced, how: nullable ? 'nulled' : 'left out', rows }));
}

export function cutStatement(schema: string, { table, column, nullable, referenced, key }: Reference): string {
  const name = (relation: string): string => `${quote(schema)}.${quote(relation)}`;
  const dangling = `t.${quote(column)} IS NOT NULL AND NOT EXISTS (SELECT FROM ${name(referenced)} AS r WHERE r.${quote(key)} = t.${quote(column)})`;
  return nullable ? `UPDATE ${name(table)} AS t SET ${quote(column)} = NULL WHERE ${dangling}` : `DELETE FROM ${name(table)} AS t WHERE ${dangling}`;
}

/** The same as a statement of a script, which tells each as a NOTICE. */
export function cutScript(schema: string, all: readonly Reference[]): string {
  const steps = all.map((reference) => {
    const { table, column, referenced, nullable } = reference;
    return `  ${cutStatement(schema, reference)}; GET DIAGNOSTICS cut = ROW_COUNT;
  IF cut > 0 THEN RAISE NOTICE '% rows of %: % refers to rows of % that stayed: %', cut, '${table}', '${column}', '${referenced}', '${nullable ? 'nulled' : 'left out'}';${nullable ? '' : ' again := true;'} END IF;`;
  });
  return `DO $cut$ DECLARE cut bigint; again boolean; BEGIN LOOP again := false;\n${steps.join('\n')}\n  EXIT WHEN NOT again; END LOOP; END $cut$;`;
}
