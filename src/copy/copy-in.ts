/** Rows into a table by COPY, in the transaction that the caller has begun. */
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';

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
    throw error;
  }
  return copy.rowCount;
}

/** Resolves when the query that was just begun is over, whatever came of it. */
export function untilIdle(client: pg.Client): Promise<void> {
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
