/**
 * What stays of a table whose rows follow messages, as reactions of people who are not in the export. With the same people then as now a row that
 * stays is one that stayed in the base, a newer one, or one of a message that is newer: the others were seen then as they are. To find the newer
 * ones takes a look at each row, without its message.
 */
import { isNew } from '../base/new-versions.js';
import type { CatalogTable } from '../../plan/views/catalog.js';
import { quote, type CompiledView } from '../../plan/views/compile-view.js';
import type { IdsSegment } from '../segments/ids-segment.js';

/** Rows that are named in a query at most. */
const MOST = 10_000;

const FOLLOWED = /^SELECT (.*)\nFROM zerver_message m\nJOIN (\w+) t ON t\.message_id = m\.id\nWHERE m\.realm_id = :realm_id AND NOT EXISTS \(SELECT 1 FROM possible_sender p WHERE p\.id = t\.\w+\)$/;

/** The table whose rows stay by whom they are of, if they follow messages; undefined of every other view. */
export function followedBy({ sql, reads, closed }: CompiledView): string | undefined {
  return closed === undefined && reads.join() === 'possible_sender' ? FOLLOWED.exec(sql.trim())?.[2] : undefined;
}

/** Asks for rows that are newer than a base, and those of messages behind it. @param since see firstNew @param until the last message of the base */
export function newRows({ name }: CatalogTable, since: string, until: number): IdsSegment {
  return { kind: 'ids', table: name, select: `SELECT t.id::float8 AS id FROM ${quote(name)} t WHERE ${isNew('t.xmin', since)} OR t.message_id > ${until}`, most: MOST };
}

/**
 * The view of those rows alone that may stay now.
 *
 * @param stayed rows in the base, as it keeps them @param fresh see newRows @param edited messages up to the base's last with a newer version
 * @returns undefined where there are too many
 */
export function narrowed(view: CompiledView, stayed: string, fresh: readonly number[], edited: readonly number[]): CompiledView | undefined {
  const ids = [...fresh, ...(JSON.parse(stayed) as { id: number }[]).map(({ id }) => id)];
  if (ids.length > MOST || edited.length > MOST) return undefined;
  const ofMessages = edited.length === 0 ? '' : ` OR t.message_id = ANY ('{${edited.join(',')}}'::bigint[])`;
  return { ...view, sql: `${view.sql.trimEnd()} AND (t.id = ANY ('{${ids.join(',')}}'::bigint[])${ofMessages})` };
}
