/** Rows into a table by COPY, in the transaction that the caller has begun: made here, or as another server sends them. */
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { lossOf } from '../snapshot/driver-client.js';
import { cutConnection } from '../snapshot/cut-connection.js';
import { copyOptions, copyRows } from './copy-rows.js';

/**
 * @param target table and columns as COPY takes them
 * @param chunks of COPY's text format
 * @returns rows that the server took
 * @throws what `chunks` throw, and what the server answers; then the transaction is over
 */
export async function copyIn(client: pg.Client, target: string, chunks: Iterable<Buffer> | AsyncIterable<Buffer>, signal: AbortSignal): Promise<number> {
  const copy = client.query(copyFrom(`COPY ${target} FROM STDIN`));
  const answered = untilIdle(client);
  try {
    await pipeline(Readable.from(chunks, { objectMode: true, highWaterMark: 2 }), copy, { signal });
  } catch (error) {
    // The server still has to answer that it gave the COPY up.
    await answered;
    // A pipeline that is stopped says no more than that.
    throw signal.aborted ? signal.reason : error;
  }
  return copy.rowCount;
}

export interface CopySource {
  /** May be used for more if this does not throw; not one by forCopying, whose chunks are overwritten while they are still to be sent. */
  readonly client: pg.Client;
  /** Queries without parameters, one after the other. */
  readonly selects: readonly string[];
  /** For error messages. */
  readonly table: string;
  /** Of the text on its way, if not UTF-8: that of both databases. */
  readonly encoding: string | undefined;
  /** Told of what is on its way. */
  readonly onBytes?: ((bytes: number) => void) | undefined;
}

/**
 * What one server sends, another takes; no more of it is on its way than two buffers.
 *
 * @param target table and columns as COPY takes them
 * @returns rows that the server took
 * @throws RealmliftError of copyRows for the source; what the server answers, whose transaction is then over, and what `signal` says
 */
export async function copyThrough({ client: source, selects, table, encoding, onBytes }: CopySource, client: pg.Client, target: string, signal: AbortSignal): Promise<number> {
  signal.throwIfAborted();
  const copy = client.query(copyFrom(`COPY ${target} FROM STDIN (${copyOptions('text', encoding)})`));
  const answered = untilIdle(client);
  let refuse: (reason: Error) => void = () => undefined;
  // The driver tells of a refusal, or of the connection's end, by an event alone: a write that waits would wait for ever.
  const refused = new Promise<never>((_, reject) => { refuse = reject; });
  refused.catch(() => undefined);
  const stop = (): void => refuse(signal.reason as Error);
  copy.on('error', refuse);
  signal.addEventListener('abort', stop, { once: true });
  const told = (begin: (over: (error?: Error | null) => void) => void): Promise<void> =>
    Promise.race([new Promise<void>((resolve, reject) => begin((error) => (error === null || error === undefined ? resolve() : reject(error)))), refused]);
  try {
    for (const select of selects) await Promise.race([copyRows(source, select, (chunk) => {
      onBytes?.(chunk.length);
      return told((over) => copy.write(chunk, over));
    }, table, 'text', encoding), refused]);
    await told((over) => copy.end(over));
    return copy.rowCount;
  } catch (error) {
    cutConnection(source);
    copy.destroy(error as Error);
    // The server still has to answer that it gave the COPY up; of one that is to be left at once, nobody waits for that.
    if (!signal.aborted) await answered;
    throw error;
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

/** Resolves when the query that was just begun is over, whatever came of it: at once where the connection was lost before, which tells of nothing any more. */
export function untilIdle(client: pg.Client): Promise<void> {
  if (lossOf(client) !== undefined) return Promise.resolve();
  return new Promise((resolve) => {
    const over = (): void => {
      client.off('drain', over);
      client.off('end', over);
      resolve();
    };
    client.on('drain', over);
    client.on('end', over);
  });
}
