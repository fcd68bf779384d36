/** The work of saving rows and large objects: a task for each piece that one session copies into one part. */
import type pg from 'pg';
import { RealmliftError } from '../../errors.js';
import { inParallel } from '../../in-parallel.js';
import { tellProgress } from '../../narration.js';
import type { SessionTask } from '../../snapshot/session-pool.js';
import type { Part, SavedTable, TablePart } from '../contents/backup-contents.js';
import type { PartNames } from '../contents/part-names.js';
import type { Sealing } from '../contents/sealing.js';
import { largeObjectQuery, rowQuery } from '../source/row-query.js';
import type { SourceTable } from '../source/source-catalog.js';
import { rangeConditions } from '../source/table-ranges.js';
import type { BackupStore } from '../store/backup-store.js';
import type { BackupWorkers } from './backup-workers.js';
import { saveRows, type RowSelection, type SavedRows } from './save-rows.js';

/** Where parts go. */
export interface PartPlace {
  readonly store: BackupStore;
  readonly names: PartNames;
  readonly sealing: Sealing;
}

interface Task {
  readonly selection: RowSelection;
  /** Name of the part. */
  readonly name: string;
  /** Bytes on the server's disk. */
  readonly size: number;
  readonly onSaved: (part: TablePart) => void;
}

export class RowTasks {
  /** Parts that are finished; those of others may join them. */
  readonly parts: Part[] = [];
  readonly #tasks: Task[] = [];
  readonly #client: pg.Client;
  readonly #place: PartPlace;

  /** @param client a session in the snapshot, to look things up */
  constructor(client: pg.Client, place: PartPlace) {
    this.#client = client;
    this.#place = place;
  }

  /** Bytes of all tasks. */
  get size(): number {
    return this.#tasks.reduce((sum, { size }) => sum + size, 0);
  }

  /** For sessions of this process. */
  forSessions(): SessionTask[] {
    const { store, sealing } = this.#place;
    return this.#largestFirst().map((task) => async (client, signal) => {
      const saving = saveRows(client, task.selection, store, task.name, sealing, signal);
      const rest = saving.saved.then((saved) => this.#finished(task, saved));
      await Promise.race([saving.sent, rest]);
      return { rest };
    });
  }

  /** Has other machines do them. The first failure stops the others and is thrown. */
  byWorkers(workers: BackupWorkers, stop: AbortSignal): Promise<void> {
    return inParallel(this.#largestFirst(), workers.backlog, async (task, signal) => {
      this.#finished(task, await workers.rows(task.selection, task.name, task.size, signal));
    }, stop);
  }

  /** @returns the table's entry, whose parts are known when its tasks are done */
  ofTable(table: SourceTable, number: number, rowsIn: string | undefined): SavedTable {
    const { schema, name, format, columns, condition, root } = table;
    const parts: TablePart[] = [];
    const conditions = this.#ranges(table);
    conditions.forEach((range, at) => {
      const selection = { table: `${schema}.${name}`, select: rowQuery(this.#client, table, range), format, encoding: rowsIn };
      this.#add(selection, this.#place.names.rows(number + 1, table, at + 1), table.size / conditions.length, (part) => { parts[at] = part; });
    });
    return { schema, name, format, columns, ...(condition === undefined ? {} : { condition }), ...(root === undefined ? {} : { root }), parts };
  }

  /** Large objects are saved by their pages; what else there is of them is in the schema. @returns as of ofTable */
  async ofLargeObjects(): Promise<TablePart[]> {
    const { rows: [row] } = await this.#client.query<{ any: boolean; readable: boolean; size: string; blocks: string }>(`
      SELECT EXISTS (SELECT FROM pg_largeobject_metadata) AS any, has_table_privilege('pg_largeobject', 'SELECT') AS readable,
             pg_table_size('pg_largeobject')::text AS size, (pg_relation_size('pg_largeobject') / current_setting('block_size')::int)::text AS blocks`);
    if (row?.any !== true) return [];
    if (!row.readable) throw new RealmliftError('RIGHT_MISSING', 'backup', 'the role may not read the large objects', { hint: 'use a superuser, or (PostgreSQL 14) GRANT pg_read_all_data TO the role' });
    const measured = { size: Number(row.size), blocks: Number(row.blocks) };
    const parts: TablePart[] = [];
    const conditions = this.#ranges(measured);
    conditions.forEach((range, at) => {
      this.#add({ table: 'pg_largeobject', select: largeObjectQuery(range), format: 'binary', encoding: undefined }, this.#place.names.largeObjects(at + 1), measured.size / conditions.length, (part) => { parts[at] = part; });
    });
    return parts;
  }

  #ranges(measured: Parameters<typeof rangeConditions>[0]): string[] {
    return rangeConditions(measured, (column) => this.#client.escapeIdentifier(column));
  }

  #add(selection: RowSelection, name: string, size: number, onSaved: Task['onSaved']): void {
    this.#tasks.push({ selection, name, size, onSaved });
  }

  /** So that no session is left alone with a large one at the end. */
  #largestFirst(): Task[] {
    return [...this.#tasks].sort((a, b) => b.size - a.size);
  }

  #finished({ size, onSaved }: Task, { part, rows, digest }: SavedRows): void {
    this.parts.push(part);
    tellProgress(size);
    onSaved({ part: part.name, rows, digest });
  }
}
