/**
 * References of a split's rows to rows that stayed: nulled where the column may be empty; a setting that must name a group names the
 * realm's administrators, and a message's client that is gone is made, both as in an export; else the row is left out.
 */
import type pg from 'pg';
import { runTasks } from '../snapshot/session-pool.js';
import { RealmliftError } from '../errors.js';
import { administratorsQuery } from '../export/references/administrators.js';
import { goneClient } from '../export/references/gone-clients.js';
import type { Catalog } from '../plan/views/catalog.js';
import { quote } from '../plan/views/compile-view.js';
import type { Source } from '../plan/source.js';
import type { Reference } from './split-columns.js';

export interface CutReference {
  readonly table: string;
  readonly column: string;
  readonly referenced: string;
  /** The reference is gone, or another; `left out` is the row. */
  readonly how: 'nulled' | 'replaced by the administrators' | 'a client named after its id takes its place' | 'left out';
  readonly rows: number;
}

/** The tables have neither indexes nor statistics yet: row by row the larger ones would take hours. */
const HASHED = 'SET enable_nestloop = off';
const AS_EVER = 'RESET enable_nestloop';

/** Nothing of a split makes sense without these rows. */
const NEEDED = 'zerver_realm';

/** Tables whose settings name groups, and how they name their realm. */
const WITH_SETTINGS: Readonly<Record<string, string>> = { zerver_realm: 'id', zerver_stream: 'realm_id', zerver_namedusergroup: 'realm_id' };

/** One way to mend a reference; what it leaves, the next one mends. */
interface Cut {
  readonly reference: Reference;
  readonly how: CutReference['how'];
  readonly sql: string;
}

/**
 * Before constraints are made. Which references point nowhere is asked by several sessions at once; leaving rows out can cut further ones: until
 * none is left.
 *
 * @throws RealmliftError REFERENCE_OUTSIDE
 */
export async function cutReferences(client: pg.Client, { schema, catalog }: Pick<Source, 'schema' | 'catalog'>, all: readonly Reference[], jobs: number, connect: () => Promise<pg.Client>, stop: AbortSignal): Promise<CutReference[]> {
  const done: CutReference[] = [];
  await client.query(HASHED);
  for (let suspects = [...all]; suspects.length > 0;) {
    const found: Reference[] = [];
    await runTasks(suspects.map((reference) => async (session: pg.Client) => {
      await session.query(HASHED);
      const { rows: [row] } = await session.query<{ found: boolean }>(`SELECT count(*) > 0 AS found FROM ${table(schema, reference.table)} AS t WHERE ${dangling(schema, reference)}`);
      if (row?.found === true) found.push(reference);
    }), jobs, connect, stop);
    const shrunk = new Set<string>();
    for (const { reference, how, sql } of found.flatMap((each) => cutsOf(schema, catalog, each))) {
      const rows = (await client.query(sql)).rowCount ?? 0;
      if (rows === 0) continue;
      if (how === 'left out') {
        if (reference.table === NEEDED) throw new RealmliftError('REFERENCE_OUTSIDE', 'split', `a realm refers by ${reference.column} to a row of ${reference.referenced} that does not travel`, { table: NEEDED, hint: 'mend the reference at the source' });
        shrunk.add(reference.table);
      }
      done.push({ table: reference.table, column: reference.column, referenced: reference.referenced, how, rows });
    }
    suspects = all.filter(({ referenced }) => shrunk.has(referenced));
  }
  await client.query(AS_EVER);
  return added(done);
}

/** Rows that further rounds cut for the same reason are counted with the first. */
function added(done: readonly CutReference[]): CutReference[] {
  const sums = new Map<string, CutReference>();
  for (const each of done) {
    const key = `${each.table}.${each.column} ${each.how}`;
    sums.set(key, { ...each, rows: each.rows + (sums.get(key)?.rows ?? 0) });
  }
  return [...sums.values()].sort((a, b) => (`${a.table}.${a.column}` < `${b.table}.${b.column}` ? -1 : 1));
}

function cutsOf(schema: string, catalog: Catalog, reference: Reference): Cut[] {
  const { table: name, column, referenced, nullable } = reference;
  const at = `${table(schema, name)} AS t`;
  const condition = dangling(schema, reference);
  if (nullable) return [{ reference, how: 'nulled', sql: `UPDATE ${at} SET ${quote(column)} = NULL WHERE ${condition}` }];
  if (name === 'zerver_message' && referenced === 'zerver_client') return [{ reference, how: 'a client named after its id takes its place', sql: `INSERT INTO ${table(schema, referenced)} (id, name) SELECT DISTINCT t.${quote(column)}, ${goneClient(`t.${quote(column)}`)} FROM ${at} WHERE ${condition}` }];
  const realm = WITH_SETTINGS[name];
  const administrators = realm === undefined || referenced !== 'zerver_usergroup' || column === 'usergroup_ptr_id' ? undefined : administratorsQuery(catalog, (each) => table(schema, each));
  return [
    ...(administrators === undefined ? [] : [{ reference, how: 'replaced by the administrators' as const, sql: `UPDATE ${at} SET ${quote(column)} = a.id FROM (${administrators}) AS a WHERE a.realm = t.${String(realm)} AND ${condition}` }]),
    { reference, how: 'left out', sql: `DELETE FROM ${at} WHERE ${condition}` },
  ];
}

function table(schema: string, name: string): string {
  return `${quote(schema)}.${quote(name)}`;
}

function dangling(schema: string, { column, referenced, key }: Reference): string {
  return `t.${quote(column)} IS NOT NULL AND NOT EXISTS (SELECT FROM ${table(schema, referenced)} AS r WHERE r.${quote(key)} = t.${quote(column)})`;
}

/** The same as a statement of a script, which tells each as a NOTICE. */
export function cutScript({ schema, catalog }: Pick<Source, 'schema' | 'catalog'>, all: readonly Reference[]): string {
  const steps = all.flatMap((each) => cutsOf(schema, catalog, each)).map(({ reference: { table: name, column, referenced }, how, sql }) => {
    const literals = [name, column, referenced, how].map((text) => `'${text.replaceAll("'", "''")}'`).join(', ');
    const refuse = how === 'left out' && name === NEEDED ? ` IF cut > 0 THEN RAISE EXCEPTION 'a realm refers by % to a row that does not travel', '${column}'; END IF;` : '';
    return `  ${sql}; GET DIAGNOSTICS cut = ROW_COUNT;${refuse}
  IF cut > 0 THEN RAISE NOTICE '% rows of %: % refers to rows of % that stayed: %', cut, ${literals};${how === 'left out' ? ' again := true;' : ''} END IF;`;
  });
  return `${HASHED};
DO $cut$ DECLARE cut bigint; again boolean; BEGIN LOOP again := false;\n${steps.join('\n')}\n  EXIT WHEN NOT again; END LOOP; END $cut$;\n${AS_EVER};`;
}
