/** References of a split's rows to rows that stayed: nulled where the column may be empty, and else the row is left out. */
import type pg from 'pg';
import { runTasks } from '../snapshot/session-pool.js';
import { RealmliftError } from '../errors.js';
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

/** The tables have neither indexes nor statistics yet: row by row the larger ones would take hours. */
const HASHED = 'SET enable_nestloop = off';

/** Nothing of a split makes sense without these rows. */
const NEEDED = 'zerver_realm';

/**
 * Before constraints are made. Which references point nowhere is asked by several sessions at once; leaving rows out can cut further ones: until
 * none is left.
 *
 * @throws RealmliftError REFERENCE_OUTSIDE
 */
export async function cutReferences(client: pg.Client, schema: string, all: readonly Reference[], jobs: number, connect: () => Promise<pg.Client>, stop: AbortSignal): Promise<CutReference[]> {
  const cut = new Map<Reference, number>();
  for (let suspects = [...all]; suspects.length > 0;) {
    const found: Reference[] = [];
    await runTasks(suspects.map((reference) => async (session: pg.Client) => {
      await session.query(HASHED);
      const { rows: [row] } = await session.query<{ found: boolean }>(`SELECT count(*) > 0 AS found FROM ${table(schema, reference.table)} AS t WHERE ${dangling(schema, reference)}`);
      if (row?.found === true) found.push(reference);
    }), jobs, connect, stop);
    for (const reference of found) {
      const { rowCount } = await client.query(cutStatement(schema, reference));
      if (!reference.nullable && reference.table === NEEDED) {
        throw new RealmliftError('REFERENCE_OUTSIDE', 'split', `a realm refers by ${reference.column} to a row of ${reference.referenced} that does not travel`, { table: NEEDED, hint: 'mend the reference at the source' });
      }
      cut.set(reference, (cut.get(reference) ?? 0) + (rowCount ?? 0));
    }
    const shrunk = new Set(found.filter(({ nullable }) => !nullable).map((reference) => reference.table));
    suspects = all.filter(({ referenced }) => shrunk.has(referenced));
  }
  return all.filter((reference) => cut.has(reference)).map((reference) => ({ table: reference.table, column: reference.column, referenced: reference.referenced, how: reference.nullable ? 'nulled' : 'left out', rows: cut.get(reference) ?? 0 }));
}

function table(schema: string, name: string): string {
  return `${quote(schema)}.${quote(name)}`;
}

function dangling(schema: string, { column, referenced, key }: Reference): string {
  return `t.${quote(column)} IS NOT NULL AND NOT EXISTS (SELECT FROM ${table(schema, referenced)} AS r WHERE r.${quote(key)} = t.${quote(column)})`;
}

function cutStatement(schema: string, reference: Reference): string {
  const condition = dangling(schema, reference);
  return reference.nullable ? `UPDATE ${table(schema, reference.table)} AS t SET ${quote(reference.column)} = NULL WHERE ${condition}` : `DELETE FROM ${table(schema, reference.table)} AS t WHERE ${condition}`;
}

/** The same as a statement of a script, which tells each as a NOTICE. */
export function cutScript(schema: string, all: readonly Reference[]): string {
  const steps = all.map((reference) => {
    const { table: name, column, referenced, nullable } = reference;
    const literals = [name, column, referenced, nullable ? 'nulled' : 'left out'].map((text) => `'${text.replaceAll("'", "''")}'`).join(', ');
    const refuse = !nullable && name === NEEDED ? ` IF cut > 0 THEN RAISE EXCEPTION 'a realm refers by % to a row that does not travel', '${column}'; END IF;` : '';
    return `  ${cutStatement(schema, reference)}; GET DIAGNOSTICS cut = ROW_COUNT;${refuse}
  IF cut > 0 THEN RAISE NOTICE '% rows of %: % refers to rows of % that stayed: %', cut, ${literals};${nullable ? '' : ' again := true;'} END IF;`;
  });
  return `${HASHED};
DO $cut$ DECLARE cut bigint; again boolean; BEGIN LOOP again := false;\n${steps.join('\n')}\n  EXIT WHEN NOT again; END LOOP; END $cut$;\nRESET enable_nestloop;`;
}
