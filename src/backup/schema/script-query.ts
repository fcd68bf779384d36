/**
 * Executes a piece of a schema script byte for byte. The driver would write its text as UTF-8, and a script of a database in another
 * encoding, or in none (SQL_ASCII), has bytes that are none; scripts are held as strings with one character a byte.
 */
import type pg from 'pg';

/** https://www.postgresql.org/docs/current/protocol-message-formats.html: Query */
const QUERY = 0x51;

/** @param sql statements, one character a byte; their results are dropped @throws the server's error */
export function executeScript(client: pg.Client, sql: string): Promise<void> {
  const query = new ScriptQuery(sql);
  client.query(query);
  return query.result;
}

/** A query in the driver's sense: it submits itself and is told of the server's answers. */
class ScriptQuery implements pg.Submittable {
  readonly result: Promise<void>;
  readonly #sql: string;
  #resolve!: () => void;
  #reject!: (error: unknown) => void;

  constructor(sql: string) {
    this.#sql = sql;
    this.result = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  submit({ stream }: pg.Connection): void {
    const text = Buffer.from(`${this.#sql}\0`, 'latin1');
    const header = Buffer.alloc(5);
    header.writeUInt8(QUERY, 0);
    header.writeUInt32BE(text.length + 4, 1);
    stream.write(Buffer.concat([header, text]));
  }

  handleError(error: unknown): void {
    this.#reject(error);
  }

  handleReadyForQuery(): void {
    this.#resolve();
  }

  // Nobody reads what a SELECT of the script returns.
  handleRowDescription(): void { /* dropped */ }
  handleDataRow(): void { /* dropped */ }
  handleCommandComplete(): void { /* dropped */ }
  handleEmptyQuery(): void { /* dropped */ }
}
