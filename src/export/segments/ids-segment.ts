/** A segment that copies nothing: it asks which rows of a table are so and so. */
import type pg from 'pg';
import { copyError } from '../../copy/copy-error.js';

export interface IdsSegment {
  readonly kind: 'ids';
  readonly table: string;
  /** Yields ids as doubles, in no order. */
  readonly select: string;
  /** More are not held in memory. */
  readonly most: number;
}

/** @returns the ids in their order; undefined where there are too many */
export async function readIds(client: pg.Client, { table, select, most }: IdsSegment): Promise<readonly number[] | undefined> {
  const query = `${select} LIMIT ${most + 1}`;
  try {
    const { rows } = await client.query<{ id: number }>(query);
    return rows.length > most ? undefined : rows.map(({ id }) => id).sort((a, b) => a - b);
  } catch (error) {
    throw copyError(error, table, query, client.user ?? 'the role');
  }
}
