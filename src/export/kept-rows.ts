/**
 * Which rows of a realm its base has, table by table: of tables that nobody touched, of what follows messages, and of what stays. The
 * messages files are looked at by themselves, see segments/changed-files.ts.
 */
import { join } from 'node:path';
import type pg from 'pg';
import { Mutex } from '../mutex.js';
import type { JournalPart } from '../package/journal.js';
import { ledgerPath, partPath } from '../package/part-paths.js';
import { inodeOf } from '../package/take-over.js';
import { takeRows } from '../package/take-rows.js';
import type { PlannedMessageFile } from '../plan/message-files.js';
import { messageIdsQuery, rowsOf, type PlannedTable } from '../plan/plan-tables.js';
import type { CompiledView } from '../plan/views/compile-view.js';
import type { Base } from './base/base.js';
import { readsAlone } from './base/counted-tables.js';
import type { NewFollowers } from './base/follower-rows.js';
import { digestOfQueries } from './earlier-parts.js';
import type { PlannedFiles } from './planned-files.js';
import type { RealmProgress } from './realm-progress.js';
import type { RealmRun, RunContext } from './realm-run.js';
import type { IdsSegment } from './segments/ids-segment.js';
import { digestOfList } from './segments/id-list.js';
import { rowQuery, type RowQuery } from './segments/row-query.js';
import type { GrownTable } from './segments/segment.js';
import { followedBy, narrowed, newRows } from './catch-up/followed-ledger.js';
import type { RunBase, ToldByVersions } from './catch-up/run-base.js';
import { SharedMessages } from './catch-up/shared-messages.js';

export class KeptRows {
  readonly #context: RunContext;
  readonly #run: RealmRun;
  readonly #progress: RealmProgress;
  readonly #base: Base;
  readonly #told: ToldByVersions | undefined;
  readonly #unchanged: boolean;
  readonly #signal: AbortSignal;
  /** Messages of the base with a newer version, where all are looked at for them at once. */
  readonly edited: Promise<readonly number[] | undefined>;
  #shared: SharedMessages | undefined;
  /** Each table that is taken over holds a piece of a file in memory. */
  readonly #taking = new Mutex();

  /** Asks for the edited messages at once, for all others wait for them. @param signal drops what is under way */
  constructor(context: RunContext, run: RealmRun, progress: RealmProgress, { base, told, unchanged }: RunBase, signal: AbortSignal) {
    [this.#context, this.#run, this.#progress, this.#base, this.#told, this.#unchanged, this.#signal] = [context, run, progress, base, told, unchanged, signal];
    this.edited = told?.edited === undefined ? Promise.resolve(undefined) : this.#ids(told.edited, Infinity);
    this.edited.catch(() => undefined);
  }

  /** The plan of the messages files as far as the base has them; undefined where it has to be made as without a base. @param session counts the messages, in the snapshot @param ids query of the messages' ids */
  messageFiles(session: pg.Client, ids: string): AsyncGenerator<PlannedMessageFile> | undefined {
    if (this.#told?.edited === undefined) return undefined;
    this.#shared = new SharedMessages(session, ids, this.#base);
    return this.#shared.files();
  }

  /** Takes a table that nobody touched over as the base has it. @param file that holds the rows in an export @returns whether it has */
  async takeTable(query: RowQuery, file: string): Promise<boolean> {
    if (!(await this.#isUntouched(query))) return false;
    return this.#taking.run(() => this.#takeTable(query, file));
  }

  /** Takes what stays by a view of the ledger whose tables nobody touched. @returns whether the base has it */
  async takeLedger(view: CompiledView, query: RowQuery): Promise<boolean> {
    const part = this.#base.rows(ledgerPath(view.name));
    if (part?.content === undefined || part.query !== digestOfQueries(query) || !(await this.#isUntouched(query))) return false;
    this.#progress.taken({ ...part, base: true });
    return true;
  }

  /** Of a view of what follows messages: what asks for no more than may be new, if the base tells the rest. */
  async narrowed(view: CompiledView, query: RowQuery): Promise<CompiledView | undefined> {
    const name = followedBy(view);
    const table = name === undefined ? undefined : this.#context.source.catalog.get(name);
    const part = this.#base.rows(ledgerPath(view.name));
    if (table === undefined || this.#told?.edited === undefined || part?.content === undefined || part.query !== digestOfQueries(query)) return undefined;
    const fresh = this.#ids(newRows(table, this.#told.versions.firstNew, this.#base.lastMessages()?.until ?? 0), table.bytes);
    const [rows, messages, known] = await Promise.all([fresh, this.edited, this.#told.followers()]);
    // Those have the people of then, and are the tables of then.
    return rows === undefined || messages === undefined || !known.has(table.name) ? undefined : narrowed(view, part.content, rows, messages);
  }

  /** Is this a table of which the base knows whether it has the rows, once it is known which messages it has? */
  follows({ name }: PlannedTable): boolean {
    return this.#told !== undefined && this.#base.origin.followers?.rows[name] !== undefined;
  }

  /**
   * Rows that the base has, or all but the new ones, if it has the messages: which is known when all of these have been asked for.
   *
   * @param session in the snapshot @param messages when they are all there
   * @returns 'all' when they were taken over, or what the base has of them; undefined where they have to be copied
   */
  async follower(session: pg.Client, table: PlannedTable, query: RowQuery, planned: Promise<PlannedFiles>, messages: Promise<void>): Promise<'all' | GrownTable | undefined> {
    // The messages are asked for first: all else waits for them.
    const files = await planned;
    const found = (await this.#told?.followers())?.get(table.name);
    const part = this.#base.rows(partPath(table.name));
    const from = join(this.#base.directory, table.file);
    // A base that was fetched from a bucket has its messages files alone.
    const mayHold = found !== undefined && part?.query === digestOfQueries(query) && inodeOf(from) !== undefined;
    if (!mayHold || !isKept(found, part, this.#base, await this.#base.sharedMessages(countedMessages(files)))) return undefined;
    await messages;
    const shared = await this.#base.sharedMessages(this.#progress.parts().messages());
    if (!isKept(found, part, this.#base, shared)) return undefined;
    if (shared.all && found.ids.length === 0) {
      if (await this.#take(part, from, table.name)) return 'all';
      this.#progress.damaged(from);
      return undefined;
    }
    if (!shared.all && this.#shared?.whole !== true && !(await this.#hasAll(session, this.#base.lastMessages()))) return undefined;
    const { compiled, parameters } = this.#run.plan;
    return { from, rows: { size: part.size, sha256: part.sha256, count: part.rows?.[table.name] ?? NaN }, added: rowQuery(table, rowsOf(table, compiled, parameters, found.ids)) };
  }

  /** Are the messages of a base's last file, to which more may have come, all of this range now? */
  async #hasAll(session: pg.Client, last: JournalPart | undefined): Promise<boolean> {
    const { compiled, parameters } = this.#run.plan;
    const { rows } = await session.query<{ id: number }>(`SELECT q.id::float8 AS id FROM (${messageIdsQuery(compiled, parameters)}) AS q WHERE q.id > ${last?.after ?? NaN} AND q.id <= ${last?.until ?? NaN} ORDER BY q.id`);
    return last?.ids !== undefined && digestOfList(rows.map(({ id }) => id).join()) === last.ids;
  }

  /** Is what the base has by this query what the server has? */
  async #isUntouched({ select }: RowQuery): Promise<boolean> {
    if (this.#told === undefined) return this.#unchanged;
    const { catalog } = this.#context.source;
    // Most of the work need not wait for the answer.
    return readsAlone(select, catalog, new Set(Object.keys(this.#base.origin.counted ?? {}))) && readsAlone(select, catalog, await this.#told.untouched());
  }

  async #takeTable(query: RowQuery, file: string): Promise<boolean> {
    const part = this.#base.rows(partPath(query.table));
    const from = join(this.#base.directory, file);
    return part?.query === digestOfQueries(query) && inodeOf(from) !== undefined && this.#take(part, from, query.table);
  }

  async #take(part: JournalPart, from: string, table: string): Promise<boolean> {
    if (!(await takeRows(from, table, join(this.#run.output.partial, part.path), part))) return false;
    this.#progress.finished({ ...part, base: true }, true);
    return true;
  }

  /** @returns undefined where there are too many */
  async #ids(segment: IdsSegment, weight: number): Promise<readonly number[] | undefined> {
    const { pool, source: { schema } } = this.#context;
    let found: readonly number[] | undefined;
    await pool.run({ segment, directory: this.#run.output.partial, schema }, weight, this.#signal, (message) => {
      if (message.kind === 'ids') found = message.ids;
    });
    return found;
  }
}

/** A table with more new rows than this share is copied whole, which then costs as much. */
const SHARE = 0.25;

/** @param shared the messages files that the base has, as far as they are known */
function isKept({ ids, behind }: NewFollowers, { rows = {} }: JournalPart, base: Base, shared: { readonly files: number; readonly all: boolean }): boolean {
  if (shared.all && ids.length === 0) return true;
  const count = Object.values(rows)[0] ?? 0;
  return behind && ids.length <= count * SHARE && (shared.all || base.hasAllButLast(shared.files));
}

function* countedMessages(planned: PlannedFiles): Generator<{ until: number; messages: number }> {
  for (const { until, rows } of planned.counts()) yield { until, messages: rows };
}
