/** The rows of one realm, cut into segments that the workers copy: its small tables, its messages, and what stays. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type pg from 'pg';
import type { Base } from './base/base.js';
import { readsAlone } from './base/counted-tables.js';
import type { NewFollowers } from './base/follower-rows.js';
import { SharedMessages } from './shared-messages.js';
import { takeRows } from '../package/take-rows.js';
import { copyError } from '../copy/copy-error.js';
import { assemble, type Member } from '../package/assemble.js';
import type { JournalPart } from '../package/journal.js';
import type { CompiledView } from '../plan/views/compile-view.js';
import { messageFiles } from '../plan/message-files.js';
import type { Parameters } from '../plan/parameters.js';
import { ledgerQuery, messageIdsQuery, queryOf, rowsOf, type PlannedTable } from '../plan/plan-tables.js';
import { digestOfQueries, earlierPart } from './earlier-parts.js';
import { followedBy, narrowed, newRows } from './followed-ledger.js';
import { GONE_CLIENTS } from './references/gone-clients.js';
import { LOST_ATTACHMENTS } from './lost-attachments.js';
import { digestOfIds, type MessageQueries } from './segments/message-segment.js';
import { messageQueries, messageSegments, queryOfMessages, type RunBase } from './message-segments.js';
import { ledgerPath, messagesPath, partPath } from '../package/part-paths.js';
import { plannedAsBase, planFiles, type PlannedFiles } from './planned-files.js';
import type { RealmProgress } from './realm-progress.js';
import type { RealmRun, RunContext } from './realm-run.js';
import type { IdsSegment } from './segments/ids-segment.js';
import { rowQuery, type RowQuery } from './segments/row-query.js';
import type { GrownTable, MessageSegment, Segment } from './segments/segment.js';
import { takeLedger, UnchangedRows } from './unchanged-rows.js';

/** Runs what asks the session when those who came before have their answers. */
export type InTurn = <T>(ask: () => Promise<T>) => Promise<T>;

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
  readonly #unchanged: UnchangedRows | undefined;
  #taking = Promise.resolve();
  /** Whether all messages of the base are known to be those of now up to its last one. */
  #hasWhole = false;

  /** @param receivers users whose usermessages travel, where a query may name them @param signal drops what is under way */
  constructor(context: RunContext, run: RealmRun, progress: RealmProgress, base: RunBase | undefined, receivers: readonly number[] | undefined, signal: AbortSignal) {
    this.#context = context;
    this.#run = run;
    this.#progress = progress;
    this.#base = base;
    this.#receivers = receivers;
    this.#signal = signal;
    this.#unchanged = base?.unchanged === true ? new UnchangedRows(context, run, base.base, progress) : undefined;
  }

  /** Begins all of them at once. @param session counts the messages, in the snapshot, when it is its turn @returns with how many messages there are */
  begin(session: pg.Client, inTurn: InTurn): { readonly pieces: Promise<void>[]; readonly messages: Promise<number> } {
    const { tables, compiled } = this.#run.plan;
    // The session is asked in this order.
    this.#base?.untouched().catch(() => undefined);
    const planned = inTurn(() => this.#planned(session));
    const edited = this.#edited();
    edited.catch(() => undefined);
    const messages = planned.then((files) => this.#messages(files, edited));
    const clients = tables.find(({ name }) => name === 'zerver_client');
    const pieces = [
      messages,
      // The messages tell which clients they were sent with, which would take another look at each of them.
      ...(clients === undefined ? [] : [messages.then(() => this.#clients(clients))]),
      ...tables.filter((table) => table.file !== 'messages' && table !== clients).map((table) => (this.#base?.base.origin.followers?.rows[table.name] === undefined ? this.#table(table) : this.#follower(session, table, this.#base, planned, messages))),
      ...compiled.ledger.filter(({ name }) => name !== LOST_ATTACHMENTS && name !== GONE_CLIENTS).map((view) => this.#followed(view, edited)),
    ];
    const count = planned.then((files) => files.messages);
    // Whoever waits for the pieces hears of a failure.
    count.catch(() => undefined);
    return { pieces, messages: count };
  }

  /** @param found parameters that only the export itself finds out */
  async #table(table: PlannedTable, found: Partial<Parameters> = {}): Promise<void> {
    if (await this.#unchanged?.hasTable(table.name) === true) return undefined;
    const { compiled, parameters } = this.#run.plan;
    return this.#tableSegment(partPath(table.name), rowQuery(table, queryOf(table, compiled, { ...parameters, ...found })), this.#bytes(table.name), table.file);
  }

  /** Rows that the base has, or all but the new ones, if it has the messages: which is known when all of these have been asked for. */
  async #follower(session: pg.Client, table: PlannedTable, { base, followers }: RunBase, planned: Promise<PlannedFiles>, messages: Promise<void>): Promise<void> {
    const { compiled, parameters } = this.#run.plan;
    // The messages are asked for first: all else waits for them.
    const files = await planned;
    const found = (await followers()).get(table.name);
    const part = base.rows(partPath(table.name));
    const from = join(base.directory, table.file);
    const query = rowQuery(table, queryOf(table, compiled, parameters));
    // A base that was fetched from a bucket has its messages files alone.
    const mayHold = found !== undefined && part?.query === digestOfQueries(query) && existsSync(from);
    if (!mayHold || !isKept(found, part, base, await base.sharedMessages(countedMessages(files)))) return this.#table(table);
    await messages;
    const shared = await base.sharedMessages(this.#progress.parts().messages());
    if (!isKept(found, part, base, shared)) return this.#table(table);
    if (!shared.all || found.ids.length > 0) {
      if (!shared.all && !this.#hasWhole && !(await this.#hasAll(session, base.lastMessages()))) return this.#table(table);
      return this.#tableSegment(part.path, query, this.#bytes(table.name), table.file, {
        from, rows: { size: part.size, sha256: part.sha256, count: part.rows?.[table.name] ?? NaN }, added: rowQuery(table, rowsOf(table, compiled, parameters, found.ids)),
      });
    }
    if (await takeRows(from, table.name, join(this.#run.output.partial, part.path), part)) return this.#progress.finished({ ...part, base: true }, true);
    this.#progress.damaged(from);
    await this.#table(table);
  }

  /** Are the messages of a base's last file, to which more may have come, all of this range now? */
  async #hasAll(session: pg.Client, last: JournalPart | undefined): Promise<boolean> {
    const { compiled, parameters } = this.#run.plan;
    const { rows } = await session.query<{ id: number }>(`SELECT q.id::float8 AS id FROM (${messageIdsQuery(compiled, parameters)}) AS q WHERE q.id > ${last?.after ?? NaN} AND q.id <= ${last?.until ?? NaN} ORDER BY q.id`);
    return last?.ids !== undefined && digestOfIds(rows.map(({ id }) => id)) === last.ids;
  }

  async #clients(table: PlannedTable): Promise<void> {
    const found = { message_client_ids: [...this.#progress.clients].sort((a, b) => a - b) };
    const gone = this.#run.plan.compiled.ledger.filter(({ name }) => name === GONE_CLIENTS);
    await Promise.all([this.#table(table, found), ...gone.map((view) => this.#ledger(view, found))]);
  }

  /** What stays is told row by row: a part of the report. @param found as for #table @param asked yields the same rows, where the server has less to look through for them */
  async #ledger(view: CompiledView, found: Partial<Parameters> = {}, asked?: CompiledView): Promise<void> {
    const query = this.#ledgerRows(view, found);
    if (this.#base !== undefined && await this.#isUntouched(query) && takeLedger(this.#base.base, this.#progress, view.name, digestOfQueries(query))) return;
    // Its rows are few; the tables that it looks through for them need not be.
    const weight = asked === undefined ? Math.max(0, ...view.tables.map((table) => this.#bytes(table))) : 0;
    return this.#tableSegment(ledgerPath(view.name), query, weight, undefined, undefined, asked && this.#ledgerRows(asked, found));
  }

  #ledgerRows(view: CompiledView, found: Partial<Parameters>): RowQuery {
    const { compiled, parameters } = this.#run.plan;
    return { table: view.name, select: ledgerQuery(view, compiled, { ...parameters, ...found }), keys: view.columns, stripped: [] };
  }

  /** Of a view of what follows messages no more is looked at than what is new, if the base tells the rest. @param edited its messages with a newer version */
  async #followed(view: CompiledView, edited: Promise<readonly number[] | undefined>): Promise<void> {
    const name = followedBy(view);
    const table = name === undefined ? undefined : this.#context.source.catalog.get(name);
    if (table === undefined || this.#base?.edited === undefined) return this.#ledger(view);
    const { base, versions, followers } = this.#base;
    const part = base.rows(ledgerPath(view.name));
    if (versions === undefined || part?.content === undefined || part.query !== digestOfQueries(this.#ledgerRows(view, {}))) return this.#ledger(view);
    const fresh = this.#ids(newRows(table, versions.firstNew, base.lastMessages()?.until ?? 0), table.bytes);
    const [rows, messages, known] = await Promise.all([fresh, edited, followers()]);
    // Those have the people of then, and are the tables of then.
    const few = rows === undefined || messages === undefined || !known.has(table.name) ? undefined : narrowed(view, part.content, rows, messages);
    return this.#ledger(view, {}, few);
  }

  /** Of a table on the server's disk; 0 where there is no such table. */
  #bytes(table: string): number {
    return this.#context.source.catalog.get(table)?.bytes ?? 0;
  }

  /** @param file that holds the rows in an export; of what stays none @param grown what the base has of it @param asked yields the same rows */
  async #tableSegment(path: string, query: RowQuery, weight: number, file?: string, grown?: GrownTable, asked = query): Promise<void> {
    const digest = digestOfQueries(query);
    if (this.#base !== undefined && file !== undefined && await this.#isUntouched(query)) {
      const { base } = this.#base;
      // One after the other: each holds a piece of a file in memory.
      const taken = this.#taking.then(() => this.#takeTable(base, path, digest, query.table, file));
      this.#taking = taken.then(() => undefined, () => undefined);
      if (await taken) return;
    }
    return this.#segment({ kind: 'table', path, query: asked, earlier: earlierPart(this.#run.journal, path, digest), grown }, weight, () => ({ query: digest }));
  }

  /** Is what the base has by this query what the server has? */
  async #isUntouched({ select }: RowQuery): Promise<boolean> {
    if (this.#base === undefined || this.#base.unchanged) return this.#base !== undefined;
    const { catalog } = this.#context.source;
    // Most of the work need not wait for the answer.
    return readsAlone(select, catalog, new Set(Object.keys(this.#base.base.origin.counted ?? {}))) && readsAlone(select, catalog, await this.#base.untouched());
  }

  /** Takes the rows over as the base has them, if it has them and by this query. */
  async #takeTable(base: Base, path: string, query: string, table: string, file: string): Promise<boolean> {
    const found = base.rows(path);
    if (found?.query !== query) return false;
    const from = join(base.directory, file);
    if (!existsSync(from) || !(await takeRows(from, table, join(this.#run.output.partial, path), found))) return false;
    this.#progress.finished({ ...found, base: true }, true);
    return true;
  }

  async #planned(session: pg.Client): Promise<PlannedFiles> {
    const { output, plan } = this.#run;
    const known = this.#base?.unchanged === true ? plannedAsBase(this.#base.base, queryOfMessages(plan)) : undefined;
    const ids = messageIdsQuery(plan.compiled, plan.parameters);
    const shared = this.#base?.edited === undefined ? undefined : new SharedMessages(session, ids, this.#base.base);
    const planned = known ?? await planFiles(join(output.run, 'messages-files'), shared?.files() ?? messageFiles(session, ids))
      .catch((error: unknown) => { throw copyError(error, 'zerver_message', ids, session.user ?? 'the role'); });
    this.#hasWhole = shared?.whole === true;
    this.#progress.planned(planned.messages, planned.count);
    return planned;
  }

  /** Before all else: the messages wait for it. */
  async #edited(): Promise<readonly number[] | undefined> {
    const segment = this.#base?.edited;
    return segment && this.#ids(segment, Infinity);
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

  async #messages(planned: PlannedFiles, edited: Promise<readonly number[] | undefined>): Promise<void> {
    const queries = messageQueries(this.#run.plan, this.#receivers);
    if (planned.count === 0) return this.#emptyMessagesFile(queries.usermessages?.table);
    if (planned.ofBase === true && await this.#unchanged?.takeMessages() === true) return undefined;
    await this.#messageSegments(planned, queries, await edited);
  }

  /** No more segments exist at a time than keep all workers busy. */
  async #messageSegments(planned: PlannedFiles, queries: MessageQueries, edited: readonly number[] | undefined): Promise<void> {
    const { pool: { threads, backlog } } = this.#context;
    const query = queryOfMessages(this.#run.plan);
    const segments = messageSegments(planned, queries, query, this.#run.journal, this.#base, edited, threads);
    const work = async (segment: MessageSegment): Promise<void> => {
      const ranges = new Map(segment.files.map(({ path, after, until }) => [path, { after, until }]));
      const weight = segment.files.reduce((sum, file) => sum + file.rows * (file.base === undefined || this.#base?.versions === undefined ? BYTES_PER_MESSAGE : BYTES_PER_MESSAGE_OF_BASE), 0);
      await this.#segment(segment, weight, (path) => ({ query, ...ranges.get(path) }));
    };
    const runner = async (): Promise<void> => {
      for (let next = await segments.next(); next.done !== true; next = await segments.next()) {
        await work(next.value);
        // No more are made than leave.
        await this.#progress.left();
      }
    };
    try {
      await Promise.all(Array.from({ length: backlog }, runner));
    } finally {
      await segments.return(undefined);
    }
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

/** A table with more new rows than this share is copied whole, which then costs as much. */
const SHARE = 0.25;

/** @param shared the messages files that the base has, as far as they are known */
function isKept({ ids, behind }: NewFollowers, { rows = {} }: JournalPart, base: Base, shared: { readonly files: number; readonly all: boolean }): boolean {
  if (shared.all && ids.length === 0) return true;
  const count = Object.values(rows)[0] ?? 0;
  return behind && ids.length <= count * SHARE && (shared.all || base.hasAllButLast(shared.files));
}

async function* countedMessages(planned: PlannedFiles): AsyncGenerator<{ until: number; messages: number }> {
  for await (const { until, rows } of planned.read()) yield { until, messages: rows };
}
