/**
 * Runs one COPY … TO STDOUT and hands its bytes on as they arrive.
 *
 * The driver has no COPY of its own. While the rows flow, the bytes of the connection pass through a separator: payload to
 * the consumer, all else to the driver, which so stays the one that understands the protocol.
 */
import type { Duplex } from 'node:stream';
import type pg from 'pg';
import { CopyDataSeparator } from './copy-data-separator.js';
import { copyError } from './copy-error.js';
import { divert } from './copy-socket.js';

/** https://www.postgresql.org/docs/current/sql-copy.html */
export type CopyFormat = 'csv' | 'text' | 'binary';

export interface CopyResult {
  /** Bytes of payload. */
  readonly bytes: number;
  /** Rows, as the server counted them. */
  readonly rows: number;
}

/**
 * Copies the rows of `select`, by default as CSV (UTF-8, no header, NULL an unquoted empty field).
 *
 * The chunks cut rows anywhere. They belong to the consumer; of a client by forCopying only until it has taken them.
 * While a promise that it returns is pending, nothing more is read from the socket, so that the server waits.
 *
 * After a failure, whichever side it came from, the connection is destroyed: the server may be in the midst of sending
 * rows, which nobody would read.
 *
 * @param select a query without parameters (COPY takes none)
 * @param table for error messages
 * @param encoding of the text, if not that of the session
 * @throws RealmliftError COPY_FAILED, RIGHT_MISSING, CONNECTION_LOST, CONNECTION_STALLED, PROTOCOL_BROKEN, RECOVERY_CONFLICT; what `consume` throws
 */
export async function copyRows(client: pg.Client, select: string, consume: (chunk: Buffer) => void | Promise<void>, table: string, format: CopyFormat = 'csv', encoding?: string): Promise<CopyResult> {
  const copy = new CopyOut(`COPY (${select}) TO STDOUT (${copyOptions(format, encoding)})`, consume);
  try {
    client.query(copy);
    return await copy.result;
  } catch (error) {
    // The driver reports the broken connection as an event too.
    client.on('error', () => undefined);
    copy.destroyConnection();
    if (copy.failedDownstream) throw error;
    throw copyError(error, table, select, client.user ?? 'the role');
  }
}

/** Options of COPY, either way. */
export function copyOptions(format: CopyFormat, encoding: string | undefined): string {
  return `FORMAT ${format}${encoding === undefined ? '' : `, ENCODING '${encoding}'`}`;
}

/** A query in the driver's sense: it submits itself and is told of the server's answers. */
class CopyOut implements pg.Submittable {
  readonly result: Promise<CopyResult>;
  failedDownstream = false;
  readonly #text: string;
  readonly #consume: (chunk: Buffer) => void | Promise<void>;
  #stream: Duplex | undefined;
  /** Gives the connection back to the driver, whose own reader is put aside while the rows flow. */
  #giveBack: (() => void) | undefined;
  #consumed: Promise<void> | undefined;
  #bytes = 0;
  #rows = 0;
  #settled = false;
  #resolve!: (result: CopyResult) => void;
  #reject!: (error: unknown) => void;

  constructor(text: string, consume: (chunk: Buffer) => void | Promise<void>) {
    this.#text = text;
    this.#consume = consume;
    this.result = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  submit(connection: pg.Connection): void {
    const { stream } = connection;
    const driver = stream.listeners('data')[0] as (chunk: Buffer) => void;
    // The driver keeps what is not yet a whole message, and the chunk may be filled anew.
    const separator = new CopyDataSeparator({ payload: (bytes) => this.#payload(bytes), other: (bytes) => driver(Buffer.from(bytes)) });
    this.#stream = stream;
    this.#giveBack = divert(stream, driver, (chunk) => {
      if (stream.destroyed) return;
      try {
        separator.push(chunk);
      } catch (error) {
        stream.destroy(error as Error);
      }
    });
    connection.query(this.#text);
  }

  destroyConnection(): void {
    this.#stream?.destroy();
  }

  #payload(bytes: Buffer): void {
    if (this.#settled) return;
    this.#bytes += bytes.length;
    try {
      const previous = this.#consumed;
      const consumed = previous === undefined ? this.#consume(bytes) : previous.then(() => this.#consume(bytes));
      if (consumed !== undefined) this.#wait(consumed);
    } catch (error) {
      this.#failDownstream(error);
    }
  }

  #wait(consumed: Promise<void>): void {
    this.#stream?.pause();
    this.#consumed = consumed;
    consumed.then(() => {
      if (this.#consumed !== consumed) return;
      this.#consumed = undefined;
      this.#stream?.resume();
    }, (error: unknown) => this.#failDownstream(error));
  }

  #failDownstream(error: unknown): void {
    if (this.#settled) return;
    this.failedDownstream = true;
    this.#settled = true;
    this.#reject(error);
  }

  handleError(error: unknown): void {
    this.#giveBack?.();
    this.#giveBack = undefined;
    if (this.#settled) return;
    this.#settled = true;
    this.#reject(error);
  }

  handleCommandComplete(message: { readonly text: string }): void {
    this.#rows = Number(/^COPY (\d+)$/.exec(message.text)?.[1] ?? NaN);
  }

  handleReadyForQuery(): void {
    this.#giveBack?.();
    this.#giveBack = undefined;
    const finish = (): void => {
      if (this.#settled) return;
      this.#settled = true;
      this.#resolve({ bytes: this.#bytes, rows: this.#rows });
    };
    if (this.#consumed === undefined) finish();
    else this.#consumed.then(finish, () => undefined);
  }
}
