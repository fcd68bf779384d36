/** The rows of one realm, cut into segments that the workers copy: its small tables, its messages, and what stays. */
import { join } from 'node:path';
import type pg from 'pg';
import { copyError } from '../copy/copy-error.js';
import type { Mutex } from '../mutex.js';
import { assemble, type Member } from '../package/assemble.js';
import type { JournalPart } from '../package/journal.js';
import { messagesPath } from '../package/export-files.js';
import { ledgerPath, partPath } from '../package/part-paths.js';
import { messageFiles } from '../plan/message-files.js';
import type { Parameters } from '../plan/parameters.js';
import { ledgerQuery, messageIdsQuery, queryOf, type PlannedTable } from '../plan/plan-tables.js';
import type { CompiledView } from '../plan/views/compile-view.js';
import type { RunBase } from './catch-up/run-base.js';
import { digestOfQueries, earlierPart } from './earlier-parts.js';
import { KeptRows } from './kept-rows.js';
import { LOST_ATTACHMENTS } from './lost-attachments.js';
import { messageQueries, messageSegments, queryOfMessages } from './message-segments.js';
import { plannedAsBase, planFiles, type PlannedFiles } from './planned-files.js';
import type { RealmProgress } from './realm-progress.js';
import type { RealmRun, RunContext } from './realm-run.js';
import { GONE_CLIENTS } from './references/gone-clients.js';
import type { MessageQueries } from './segments/message-segment.js';
import { rowQuery, type RowQuery } from './segments/row-query.js';
import type { GrownTable, MessageSegment, Segment } from './segments/segment.js';
import { UnchangedRows } from './unchanged-rows.js';

/** Rough size of a message with its usermessages in JSON, to put segments in order. */
const BYTES_PER_MESSAGE = 2000;

/** The same of a message that a base may have: most are only looked at, on the server. */
const BYTES_PER_MESSAGE_OF_BASE = 250;

export class RealmRows {
  readonly #context: RunContext;
  readonly #run: RealmRun;
  readonly #progress: RealmProgress;
  readonly #base: RunBase | undefined;
  readonly #receivers: readonly number[] | undefined;
  readonly #signal: AbortSignal;
  readonly #kept: KeptRows | undefined;
  readonly #unchanged: UnchangedRows | undefined;

  /** @param receivers users whose usermessages travel, where a query may name them @param signal drops what is under way */
  constructor(context: RunContext, run: RealmRun, progress: RealmProgress, base: RunBase | undefined, receivers: readonly number[] | undefined, signal: AbortSignal) {
    this.#context = context;
    this.#run = run;
    this.#progress = progress;
    this.#base = base;
    this.#receivers = receivers;
    this.#signal = signal;
    this.#kept = base && new KeptRows(context, run, progress, base, signal);
    this.#unchanged = base?.unchanged === true ? new UnchangedRows(context, run, base.base, progress) : undefined;
  }

  /** Begins all of them at once. @param session counts the messages, in the snapshot, when it is its turn @returns with how many messages there are */
  begin(session: pg.Client, turns: Mutex): { readonly pieces: Promise<void>[]; readonly messages: Promise<number> } {
    const { tables, compiled } = this.#run.plan;
    const planned = turns.run(() => this.#planned(session));
    const messages = planned.then((files) => this.#messages(files));
    const clients = tables.find(({ name }) => name === 'zerver_client');
    const pieces = [
      messages,
      // The messages tell which clients they were sent with, which would take another look at each of them.
      ...(clients === undefined ? [] : [messages.then(() => this.#clients(clients))]),
      ...tables.filter((table) => table.file !== 'messages' && table !== clients).map((table) => (this.#kept?.follows(table) === true ? this.#follower(session, table, this.#kept, planned, messages) : this.#table(table))),
      ...compiled.ledger.filter(({ name }) => name !== LOST_ATTACHMENTS && name !== GONE_CLIENTS).map((view) => this.#ledger(view)),
    ];
    const count = planned.then((files) => files.messages);
    // Whoever waits for the pieces hears of a failure.
    count.catch(() => undefined);
    return { pieces, messages: count };
  }

  /** @param found parameters that only the export itself finds out */
  async #table(table: PlannedTable, found: Partial<Parameters> = {}): Promise<void> {
    if (await this.#unchanged?.hasTable(table.name) === true) return;
    const query = this.#tableQuery(table, found);
    if (await this.#kept?.takeTable(query, table.file) === true) return;
    return this.#tableSegment(partPath(table.name), query, this.#bytes(table.name));
  }

  /** A table of whose rows the base may have all but the new ones. */
  async #follower(session: pg.Client, table: PlannedTable, kept: KeptRows, planned: Promise<PlannedFiles>, messages: Promise<void>): Promise<void> {
    const query = this.#tableQuery(table);
    const has = await kept.follower(session, table, query, planned, messages);
    if (has === 'all') return;
    return has === undefined ? this.#table(table) : this.#tableSegment(partPath(table.name), query, this.#bytes(table.name), has);
  }

  #tableQuery(table: PlannedTable, found: Partial<Parameters> = {}): RowQuery {
    const { compiled, parameters } = this.#run.plan;
    return rowQuery(table, queryOf(table, compiled, { ...parameters, ...found }));
  }

  async #clients(table: PlannedTable): Promise<void> {
    const found = { message_client_ids: [...this.#progress.clients].sort((a, b) => a - b) };
    const gone = this.#run.plan.compiled.ledger.filter(({ name }) => name === GONE_CLIENTS);
    await Promise.all([this.#table(table, found), ...gone.map((view) => this.#ledger(view, found))]);
  }

  /** What stays is told row by row: a part of the report. @param found as for #table */
  async #ledger(view: CompiledView, found: Partial<Parameters> = {}): Promise<void> {
    const query = this.#ledgerRows(view, found);
    if (await this.#kept?.takeLedger(view, query) === true) return;
    // Yields the same rows, and the server has less to look through for them.
    const narrowed = await this.#kept?.narrowed(view, query);
    // Its rows are few; the tables that it looks through for them need not be.
    const weight = narrowed === undefined ? Math.max(0, ...view.tables.map((table) => this.#bytes(table))) : 0;
    return this.#tableSegment(ledgerPath(view.name), query, weight, undefined, narrowed && this.#ledgerRows(narrowed, found));
  }

  #ledgerRows(view: CompiledView, found: Partial<Parameters>): RowQuery {
    const { compiled, parameters } = this.#run.plan;
    return { table: view.name, select: ledgerQuery(view, compiled, { ...parameters, ...found }), keys: view.columns, stripped: [] };
  }

  /** Of a table on the server's disk; 0 where there is no such table. */
  #bytes(table: string): number {
    return this.#context.source.catalog.get(table)?.bytes ?? 0;
  }

  /** @param grown what the base has of it @param asked yields the same rows */
  #tableSegment(path: string, query: RowQuery, weight: number, grown?: GrownTable, asked = query): Promise<void> {
    const digest = digestOfQueries(query);
    return this.#segment({ kind: 'table', path, query: asked, earlier: earlierPart(this.#run.journal, path, digest), grown }, weight, () => ({ query: digest }));
  }

  async #planned(session: pg.Client): Promise<PlannedFiles> {
    const { output, plan } = this.#run;
    const known = this.#base?.unchanged === true ? plannedAsBase(this.#base.base, queryOfMessages(plan)) : undefined;
    const ids = messageIdsQuery(plan.compiled, plan.parameters);
    const planned = known ?? await planFiles(join(output.run, 'messages-files'), this.#kept?.messageFiles(session, ids) ?? messageFiles(session, ids))
      .catch((error: unknown) => { throw copyError(error, 'zerver_message', ids, session.user ?? 'the role'); });
    this.#progress.planned(planned.messages, planned.count);
    return planned;
  }

  async #messages(planned: PlannedFiles): Promise<void> {
    const queries = messageQueries(this.#run.plan, this.#receivers);
    if (planned.count === 0) return this.#emptyMessagesFile(queries.usermessages?.table);
    if (planned.ofBase === true && await this.#unchanged?.takeMessages() === true) return undefined;
    await this.#messageSegments(planned, queries, await this.#kept?.edited);
  }

  /** No more segments exist at a time than keep all workers busy. */
  async #messageSegments(planned: PlannedFiles, queries: MessageQueries, edited: readonly number[] | undefined): Promise<void> {
    const { pool: { threads, backlog } } = this.#context;
    const query = queryOfMessages(this.#run.plan);
    const segments = messageSegments(planned, queries, query, this.#run.journal, this.#base, edited, threads);
    const work = async (segment: MessageSegment): Promise<void> => {
      const ranges = new Map(segment.files.map(({ path, after, until }) => [path, { after, until }]));
      const weight = segment.files.reduce((sum, file) => sum + file.rows * (file.base === undefined || this.#base?.told === undefined ? BYTES_PER_MESSAGE : BYTES_PER_MESSAGE_OF_BASE), 0);
      await this.#segment(segment, weight, (path) => ({ query, ...ranges.get(path) }));
    };
    const runner = async (): Promise<void> => {
      for (const segment of segments) {
        await work(segment);
        // No more are made than leave.
        await this.#progress.left();
      }
    };
    // Whoever fails ends them for all.
    await Promise.all(Array.from({ length: backlog }, runner));
  }

  /** Zulip writes a first messages file even where there is no message. */
  async #emptyMessagesFile(usermessages: string | undefined): Promise<void> {
    if (this.#run.plan.request.mode === 'user') return;
    const members: Member[] = ['zerver_message', ...(usermessages === undefined ? [] : [usermessages])].map((key) => ({ key, value: [] }));
    this.#progress.finishedOnly(await assemble(this.#run.output.partial, messagesPath(1), members));
  }

  /** @param origin what else the journal is to know of a part */
  #segment(segment: Segment, weight: number, origin: (path: string) => Partial<JournalPart>): Promise<void> {
    const { pool, source: { schema } } = this.#context;
    const progress = this.#progress;
    return pool.run({ segment, directory: this.#run.output.partial, schema }, weight, this.#signal, (message) => {
      switch (message.kind) {
        case 'part':
          if (message.part.base === true) this.#run.onTaken?.(message.part);
          return progress.finished({ ...message.part, ...origin(message.part.path) }, message.kept);
        case 'damaged': return progress.damaged(message.path);
        case 'ids':
        case 'dealt': return undefined;
        case 'progress': return progress.tell({ ...message, dataClass: progress.totals.classOf(message.table) });
      }
    });
  }
}
