/**
 * Refuses what no PostgreSQL server sends. The driver believes every header: of a message whose length is nonsense it waits
 * for the rest, for ever.
 *
 * The rules are libpq's own: only some kinds of messages may be longer than 30,000 bytes.
 * https://www.postgresql.org/docs/current/protocol-message-formats.html; pqParseInput3 in fe-protocol3.c
 */
import type { Duplex } from 'node:stream';
import { RealmliftError, type Stage } from '../errors.js';

/** Bytes of a message of each code that may come after the login, its length field included. No server allocates more for a row than the second. */
const LONGEST = new Float64Array(256);
for (const code of Buffer.from('123CGHIKRSZcnst')) LONGEST[code] = 30_000;
for (const code of Buffer.from('TDdENA')) LONGEST[code] = 0x3fffffff + 4;

const HEADER_LENGTH = 5;
const LENGTH_LENGTH = 4;

/** True when no server sends such a message. @param length as its header gives it */
export function isBroken(code: number, length: number): boolean {
  return length < LENGTH_LENGTH || length > (LONGEST[code] as number);
}

export function protocolBroken(stage: Stage, cause?: unknown): RealmliftError {
  return new RealmliftError('PROTOCOL_BROKEN', stage, 'what came over the connection is no answer of a PostgreSQL server', {
    hint: 'look at what lies between, a proxy or a tunnel, or connect to the server itself', again: true, cause,
  });
}

/**
 * Stands before the driver's reader of a session that is logged in.
 *
 * @param stage of the error PROTOCOL_BROKEN, which ends the connection and fails its queries
 */
export function guardProtocol(stream: Duplex, stage: Stage): void {
  const driver = stream.listeners('data')[0] as (chunk: Buffer) => void;
  const messages = new Messages();
  let broken = false;
  const end = (cause?: unknown): void => {
    broken = true;
    stream.destroy(protocolBroken(stage, cause));
  };
  stream.off('data', driver);
  stream.on('data', (chunk: Buffer) => {
    if (broken) return;
    try {
      if (messages.pass(chunk)) driver(chunk);
      else end();
    } catch (error) {
      // The content of a message is not what its header says.
      end(error);
    }
  });
}

class Messages {
  readonly #header = Buffer.alloc(HEADER_LENGTH);
  #headerLength = 0;
  /** Bytes of the current message that are still to come. */
  #left = 0;

  /** Follows the messages of a chunk from header to header. False when one is broken. */
  pass(chunk: Buffer): boolean {
    let at = 0;
    while (at < chunk.length) {
      if (this.#left > 0) {
        const length = Math.min(this.#left, chunk.length - at);
        this.#left -= length;
        at += length;
        continue;
      }
      this.#header[this.#headerLength++] = chunk[at++] as number;
      if (this.#headerLength < HEADER_LENGTH) continue;
      this.#headerLength = 0;
      const code = this.#header[0] as number;
      const length = this.#header.readUInt32BE(1);
      if (isBroken(code, length)) return false;
      this.#left = length - LENGTH_LENGTH;
    }
    return true;
  }
}
