/** The rows of a split on their way from the snapshot into its database, as tasks for the sessions that write them. */
import type pg from 'pg';
import { qualified } from '../backup/source/source-catalog.js';
import { copyThrough } from '../copy/copy-in.js';
import { inTransaction } from '../copy/copy-in-journal.js';
import { targetFault } from '../copy/target-fault.js';
import { tellPiece, tellProgress } from '../narration.js';
import { useSchema } from '../plan/search-path.js';
import type { SessionTask } from '../snapshot/session-pool.js';
import { joinSnapshot } from '../snapshot/snapshot.js';
import type { PreparedSplit } from './prepared-split.js';
import type { MessageBatches } from './split-messages.js';
import { sizeOf, sizeOfMessages } from './split-progress.js';
import type { SplitRows } from './split-rows.js';

export class CopiedRows {
  /** By table. */
  readonly counts = new Map<string, number>();
  readonly #split: PreparedSplit;
  /** Sessions in the snapshot: all, and those that no task has. */
  readonly #readers: pg.Client[] = [];
  readonly #free: pg.Client[] = [];

  constructor(split: PreparedSplit) {
    this.#split = split;
  }

  /** All rows of a table that are no message's. */
  table(rows: SplitRows): SessionTask {
    return this.#task(async (reader, writer, signal) => {
      const piece = tellPiece(sizeOf(this.#split, rows.table));
      await this.#copy(reader, writer, rows, signal, piece.more);
      piece.done();
    });
  }

  /** Messages and what follows them, as long as there are batches that no other task has taken. */
  messages(batches: MessageBatches): SessionTask {
    return this.#task(async (reader, writer, signal) => {
      for (let batch = await batches.next(); batch !== undefined; batch = await batches.next()) {
        for (const rows of batch.rows) await this.#copy(reader, writer, rows, signal);
        await batch.clients(reader);
        tellProgress(sizeOfMessages(this.#split, batch.messages));
      }
    });
  }

  async close(): Promise<void> {
    await Promise.all(this.#readers.map((client) => client.end().catch(() => undefined)));
  }

  #task(work: (reader: pg.Client, writer: pg.Client, signal: AbortSignal) => Promise<void>): SessionTask {
    return async (writer, signal) => {
      const reader = this.#free.pop() ?? (await this.#newReader());
      await inTransaction(writer, () => work(reader, writer, signal));
      this.#free.push(reader);
    };
  }

  async #newReader(): Promise<pg.Client> {
    const reader = await joinSnapshot(this.#split.snapshot, 'split');
    this.#readers.push(reader);
    await useSchema(reader, this.#split.source.schema);
    return reader;
  }

  async #copy(reader: pg.Client, writer: pg.Client, { table, columns, selects }: SplitRows, signal: AbortSignal, onBytes?: (bytes: number) => void): Promise<void> {
    const { source, encoding } = this.#split;
    const target = `${qualified(writer, { schema: source.schema, name: table })} (${columns.map((column) => writer.escapeIdentifier(column)).join(', ')})`;
    const rows = await copyThrough({ client: reader, selects, table, encoding: encoding === 'UTF8' ? undefined : encoding, onBytes }, writer, target, signal)
      .catch((error: unknown) => { throw signal.aborted ? error : targetFault(error, table, 'split'); });
    this.counts.set(table, (this.counts.get(table) ?? 0) + rows);
  }
}
