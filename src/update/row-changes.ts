/**
 * The changes of an update, in one transaction: rows that go or change are deleted as they are found, those that come or have changed wait
 * in temporary files until all is deleted, so that no value is taken by a row that is about to give it up.
 */
import { createReadStream, openSync, writeSync, closeSync } from 'node:fs';
import { join } from 'node:path';
import type pg from 'pg';
import { copyIn } from '../copy/copy-in.js';
import { targetFault } from '../copy/target-fault.js';
import { CopyText } from '../load/rows/copy-text.js';
import { LISTS } from '../load/rows/table-loader.js';
import { qualify, type TargetTables } from '../load/server/target-tables.js';
import { idColumn } from '../remap/reference-catalog.js';
import { drawnColumns, type RowWriter } from './encoded-rows.js';

/** Ids that are deleted at once. */
const BATCH = 10_000;
/** Bytes written to a temporary file at once. */
const BLOCK = 256 * 1024;

interface Waiting {
  readonly table: string;
  readonly columns: readonly string[];
  readonly path: string;
  readonly fd: number;
  blocks: Buffer[];
  bytes: number;
}

export interface ChangeCounts {
  added: number;
  changed: number;
  removed: number;
}

export class RowChanges {
  readonly counts: ChangeCounts = { added: 0, changed: 0, removed: 0 };
  readonly #client: pg.Client;
  readonly #tables: TargetTables;
  readonly #directory: string;
  /** A schema of our own, for what rows keep. */
  readonly #schema: string;
  #queued = 0;
  readonly #going = new Map<string, number[]>();
  readonly #waiting = new Map<string, Waiting>();
  /** Columns that the rows of a table keep. */
  readonly #kept = new Map<string, readonly string[]>();

  /** @param directory for what waits @param schema quoted */
  constructor(client: pg.Client, tables: TargetTables, directory: string, schema: string) {
    [this.#client, this.#tables, this.#directory, this.#schema] = [client, tables, directory, schema];
  }

  add(row: RowWriter): void {
    this.counts.added++;
    this.#put(row);
  }

  remove(table: string, id: number): void {
    this.counts.removed++;
    this.#delete(table, id);
  }

  /** @param id that it had; nearly always it still has it */
  change(id: number, row: RowWriter): void {
    this.counts.changed++;
    const drawn = drawnColumns(row.layout);
    if (drawn.length > 0) this.#kept.set(row.layout.table, drawn);
    this.#delete(row.layout.table, id);
    this.#put(row);
  }

  /** It is time for {@link flush}. */
  get isFull(): boolean {
    return this.#queued >= BATCH;
  }

  /** Deletes what is to go. */
  async flush(): Promise<void> {
    for (const [table, ids] of this.#going) if (ids.length > 0) await this.#deleteNow(table, ids);
    this.#going.clear();
    this.#queued = 0;
  }

  /** Once all is deleted. @throws RealmliftError ROWS_REFUSED and others of the server */
  async insert(signal: AbortSignal): Promise<void> {
    await this.flush();
    for (const waiting of this.#waiting.values()) {
      this.#write(waiting);
      closeSync(waiting.fd);
      const columns = waiting.columns.map((name) => this.#client.escapeIdentifier(name)).join(', ');
      await copyIn(this.#client, `${this.#name(waiting.table)} (${columns})`, createReadStream(waiting.path) as AsyncIterable<Buffer>, signal).catch((error: unknown) => { throw targetFault(error, waiting.table, 'load'); });
    }
    for (const [table, columns] of this.#kept) await this.#giveBack(table, columns);
  }

  #put(row: RowWriter): void {
    const { table, columns } = row.layout;
    this.#wait(table, columns.map(({ name }) => name), row.loaded());
    if (table !== 'zerver_attachment') return;
    for (const [list, { key, column }] of Object.entries(LISTS)) {
      if (!this.#tables.columns.has(list)) continue;
      const text = new CopyText();
      for (const id of JSON.parse(row.list(key)) as number[]) {
        for (const value of [row.id, id]) {
          text.separate();
          text.text(String(value));
        }
        text.endRow();
      }
      this.#wait(list, ['attachment_id', column], text.written);
    }
  }

  #wait(table: string, columns: readonly string[], bytes: Buffer): void {
    if (bytes.length === 0) return;
    const name = [table, ...columns].join('\t');
    let waiting = this.#waiting.get(name);
    if (waiting === undefined) {
      const path = join(this.#directory, `rows-${this.#waiting.size}`);
      waiting = { table, columns, path, fd: openSync(path, 'wx', 0o600), blocks: [], bytes: 0 };
      this.#waiting.set(name, waiting);
    }
    // What is handed out holds until the next row.
    waiting.blocks.push(Buffer.from(bytes));
    waiting.bytes += bytes.length;
    if (waiting.bytes >= BLOCK) this.#write(waiting);
  }

  #write(waiting: Waiting): void {
    const bytes = Buffer.concat(waiting.blocks);
    for (let done = 0; done < bytes.length;) done += writeSync(waiting.fd, bytes, done);
    [waiting.blocks, waiting.bytes] = [[], 0];
  }

  #delete(table: string, id: number): void {
    this.#queued++;
    const ids = this.#going.get(table);
    if (ids === undefined) this.#going.set(table, [id]);
    else ids.push(id);
  }

  async #deleteNow(table: string, ids: readonly number[]): Promise<void> {
    const key = idColumn(table);
    const kept = this.#kept.get(table);
    if (kept !== undefined) {
      const columns = [key, ...kept].map((name) => this.#client.escapeIdentifier(name)).join(', ');
      const there = `${this.#schema}.${this.#client.escapeIdentifier(`kept_${table}`)}`;
      await this.#client.query(`CREATE TABLE IF NOT EXISTS ${there} AS SELECT ${columns} FROM ${this.#name(table)} WHERE false`);
      await this.#client.query(`INSERT INTO ${there} SELECT ${columns} FROM ${this.#name(table)} WHERE ${key} = ANY ($1)`, [ids]);
    }
    if (table === 'zerver_attachment') for (const list of Object.keys(LISTS)) if (this.#tables.columns.has(list)) await this.#client.query(`DELETE FROM ${this.#name(list)} WHERE attachment_id = ANY ($1)`, [ids]);
    await this.#client.query(`DELETE FROM ${this.#name(table)} WHERE ${key} = ANY ($1)`, [ids]);
  }

  /** What a load draws - keys of bots, for instance - rows that were loaded have from then. */
  async #giveBack(table: string, columns: readonly string[]): Promise<void> {
    const there = `${this.#schema}.${this.#client.escapeIdentifier(`kept_${table}`)}`;
    const set = columns.map((name) => this.#client.escapeIdentifier(name)).map((name) => `${name} = kept.${name}`).join(', ');
    await this.#client.query(`UPDATE ${this.#name(table)} AS t SET ${set} FROM ${there} AS kept WHERE t.id = kept.id`);
    await this.#client.query(`DROP TABLE ${there}`);
  }

  #name(table: string): string {
    return qualify(this.#client, this.#tables.schema, table);
  }
}
