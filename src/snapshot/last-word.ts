/**
 * Why a server ended a session stands in the last message that it sent, and may lie there unread when the next question finds
 * the connection closed: Node then destroys the socket with what it holds. As libpq does, we read to the end before a write
 * that failed is an error. https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-TERMINATION; pqSendSome in fe-misc.c
 */
import { finished } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Duplex } from 'node:stream';

/** Milliseconds that the end of what can be read is waited for, where nobody reads. */
const WAITING = 500;

type Done = (error?: Error | null) => void;

/** Has writes to `stream`, an open socket that somebody reads, fail only when all is read that came over it. */
export function readLastWord(stream: Duplex): void {
  const heard = (done: Done): Done => (error) => {
    if (error === undefined || error === null) done();
    else void readToEnd(stream).then(() => done(error));
  };
  const write = stream._write.bind(stream);
  const writeAll = stream._writev?.bind(stream);
  stream._write = (chunk, encoding, done) => write(chunk, encoding, heard(done));
  if (writeAll !== undefined) stream._writev = (chunks, done) => writeAll(chunks, heard(done));
}

async function readToEnd(stream: Duplex): Promise<void> {
  const waiting = new AbortController();
  await Promise.race([finished(stream, { writable: false, cleanup: true }), sleep(WAITING, undefined, waiting)]).catch(() => undefined);
  waiting.abort();
}
