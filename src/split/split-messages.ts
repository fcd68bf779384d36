/**
 * Messages and their usermessages, some at a time: the server then finds both by their ids, as for an export, and never reads other
 * realms' to sort them out; and whoever copies them can share them out among sessions.
 */
import type pg from 'pg';
import { MESSAGES_PER_FILE } from '../plan/message-files.js';
import { MESSAGES, type MessageQueries, type MessageRange, type SplitRows } from './split-rows.js';

/** What is copied at once. */
export interface MessageBatch {
  readonly messages: number;
  readonly rows: readonly SplitRows[];
  /** Tells the clients of these messages. */
  readonly clients: (reader: pg.Client) => Promise<void>;
}

/** Batches for one taker or several, each of which gets one that no other gets. */
export class MessageBatches {
  readonly #batches: AsyncGenerator<MessageBatch>;
  readonly #clients = new Set<number>();

  /** @param session reads their ids, and is used for nothing else until all batches are taken */
  constructor(session: pg.Client, queries: readonly MessageQueries[]) {
    this.#batches = this.#all(session, queries);
  }

  /** The clients of the messages that were copied. */
  get clients(): readonly number[] {
    return [...this.#clients];
  }

  /** @returns undefined when there are no more */
  async next(): Promise<MessageBatch | undefined> {
    const next = await this.#batches.next();
    return next.done === true ? undefined : next.value;
  }

  async *#all(session: pg.Client, queries: readonly MessageQueries[]): AsyncGenerator<MessageBatch> {
    for (const query of queries) for await (const range of ranges(session, query.ids)) yield this.#batch(range, query);
  }

  #batch(range: MessageRange, { messages, usermessages }: MessageQueries): MessageBatch {
    return {
      messages: range.ids.length, rows: [messages(range), ...(usermessages === undefined ? [] : [usermessages(range)])],
      clients: async (reader) => {
        // Their pages were just read.
        const { rows } = await reader.query<{ id: number }>(`SELECT DISTINCT m.sending_client_id::float8 AS id FROM ${MESSAGES} m WHERE m.id = ANY ($1::bigint[])`, [range.ids]);
        for (const { id } of rows) this.#clients.add(id);
      },
    };
  }
}

async function* ranges(session: pg.Client, ids: string): AsyncGenerator<MessageRange> {
  // All of them are fetched: the server is not to hurry for the first tenth.
  await session.query(`SET LOCAL cursor_tuple_fraction = 1; DECLARE split_messages NO SCROLL CURSOR FOR SELECT i.id::float8 AS id FROM (${ids}) AS i`);
  let after: number | undefined;
  for (;;) {
    const { rows } = await session.query<{ id: number }>(`FETCH ${MESSAGES_PER_FILE} FROM split_messages`);
    const [first] = rows;
    if (first === undefined) break;
    // Ids begin with 1, but for rows that somebody inserted by hand.
    after ??= Math.min(0, first.id - 1);
    yield { after, ids: rows.map(({ id }) => id) };
    after = rows.at(-1)?.id ?? after;
    if (rows.length < MESSAGES_PER_FILE) break;
  }
  await session.query('CLOSE split_messages');
}
