/**
 * The numbered messages files, known before the work: every 1000th exported message id is a boundary, so that any worker can
 * take any file and the result is the same for any number of workers.
 *
 * The boundaries go to a file of the run, not into memory: a realm of a hundred million messages has a hundred thousand.
 */
import type pg from 'pg';

/** Messages in a file; the import reads each file whole into memory. */
export const MESSAGES_PER_FILE = 1000;

/** Most files asked for at once. */
const MOST = 128;

export interface PlannedMessageFile {
  /** From 1, without gap. */
  readonly number: number;
  /** The file holds the exported messages with `after` < id <= `until`. */
  readonly after: number;
  readonly until: number;
  readonly rows: number;
  /** Of its messages in their order, as a list, where they are known beforehand. */
  readonly ids?: string | undefined;
}

/** Where files go on. */
export interface FilesBefore {
  /** How many there are. */
  readonly number: number;
  /** The last message in them. */
  readonly after: number;
}

/** Of one statement of several. */
type Result = pg.QueryResult<{ readonly id: number | string }>;

/** Skips so many messages, and asks for the next. */
function skip(messages: number): string {
  return `MOVE ${messages} IN message_files; FETCH message_files;`;
}

/**
 * Counts the exported messages file by file, in one ordered pass over their ids. The server skips what is no boundary: to number all rows
 * and group them by their files took it half as long again. It goes forward only, since to go back it would have to keep the ids. Those of
 * the first file are sent, so that a realm that has no other is not asked for its last one.
 *
 * @param ids query of the exported messages' ids, see messageIdsQuery @param before files that are known: the ids are those behind them
 */
export async function* messageFiles(client: pg.Client, ids: string, before?: FilesBefore): AsyncGenerator<PlannedMessageFile> {
  const ask = async (statements: string): Promise<Result[]> => (await client.query(statements)) as unknown as Result[];
  const idOf = (row: Result['rows'][number] | undefined): number => Number(row?.id);
  // All rows are read: without it the server would plan for the first tenth of them.
  const [, , first] = await ask(`SET LOCAL cursor_tuple_fraction = 1; DECLARE message_files NO SCROLL CURSOR FOR SELECT q.id FROM (${ids}) AS q ORDER BY q.id; FETCH ${MESSAGES_PER_FILE} FROM message_files`);
  const firstIds = first?.rows ?? [];
  // Ids begin with 1, but for rows that somebody inserted by hand.
  let after = before?.after ?? Math.min(0, idOf(firstIds[0]) - 1);
  let number = before?.number ?? 0;
  if (firstIds.length > 0) {
    const until = idOf(firstIds.at(-1));
    yield { number: ++number, after, until, rows: firstIds.length };
    after = until;
  }
  for (let asking = 2, more = firstIds.length === MESSAGES_PER_FILE; more; asking = Math.min(asking * 2, MOST)) {
    const results = await ask(skip(MESSAGES_PER_FILE - 1).repeat(asking));
    for (let at = 0; more && at < results.length; at += 2) {
      const until = idOf(results[at + 1]?.rows[0]);
      more = !Number.isNaN(until);
      const rows = more ? MESSAGES_PER_FILE : results[at]?.rowCount ?? 0;
      if (rows === 0) break;
      const file: PlannedMessageFile = { number: ++number, after, until: more ? until : await lastId(client, ids, after), rows };
      yield file;
      after = file.until;
    }
  }
  await client.query('CLOSE message_files');
}

async function lastId(client: pg.Client, ids: string, after: number): Promise<number> {
  const { rows: [row] } = await client.query<{ id: number }>(`SELECT max(q.id)::float8 AS id FROM (${ids}) AS q WHERE q.id > ${after}`);
  return row?.id ?? NaN;
}
