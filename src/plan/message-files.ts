/**
 * The numbered messages files, known before the work: every 1000th exported message id is a boundary, so that any worker can
 * take any file and the result is the same for any number of workers.
 *
 * The boundaries go to a file of the run, not into memory: a realm of a hundred million messages has a hundred thousand.
 */
import type pg from 'pg';

/** Messages in a file; the import reads each file whole into memory. */
export const MESSAGES_PER_FILE = 1000;

/** Boundaries fetched at once. */
const FETCH = 1000;

export interface PlannedMessageFile {
  /** From 1, without gap. */
  readonly number: number;
  /** The file holds the exported messages with `after` < id <= `until`. */
  readonly after: number;
  readonly until: number;
  readonly rows: number;
}

/**
 * Counts the exported messages file by file, in one ordered pass over their ids.
 *
 * @param ids query of the exported messages' ids, see messageIdsQuery
 */
export async function* messageFiles(client: pg.Client, ids: string): AsyncGenerator<PlannedMessageFile> {
  await client.query(`
    DECLARE message_files NO SCROLL CURSOR FOR
    SELECT min(id)::float8 AS first, max(id)::float8 AS until, count(*)::int AS rows
    FROM (SELECT q.id, (row_number() OVER (ORDER BY q.id) - 1) / ${MESSAGES_PER_FILE} AS file FROM (${ids}) AS q) AS numbered
    GROUP BY file ORDER BY file`);
  let number = 0;
  let after = 0;
  for (;;) {
    const { rows } = await client.query<{ first: number; until: number; rows: number }>(`FETCH ${FETCH} FROM message_files`);
    for (const row of rows) {
      // Ids begin with 1, but for rows that somebody inserted by hand.
      if (number === 0) after = Math.min(0, row.first - 1);
      yield { number: ++number, after, until: row.until, rows: row.rows };
      after = row.until;
    }
    if (rows.length < FETCH) break;
  }
  await client.query('CLOSE message_files');
}
