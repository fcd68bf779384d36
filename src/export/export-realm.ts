/** One realm (or one user) out of the run's snapshot into one directory: rows and files at the same time, then the package. */
import { setMaxListeners } from 'node:events';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type pg from 'pg';
import { copyError } from '../copy/copy-error.js';
import type { FileEvent, FilesResult } from '../files/file-events.js';
import type { WantedFiles } from '../files/wanted-files.js';
import { assemble, type Member } from '../package/assemble.js';
import type { Journal, JournalPart } from '../package/journal.js';
import type { CompiledView } from '../plan/compile-view.js';
import { messageFiles } from '../plan/message-files.js';
import type { Parameters } from '../plan/parameters.js';
import { ledgerQuery, messageIdsQuery, queryOf, type PlannedTable } from '../plan/plan-tables.js';
import { cutConnection } from '../snapshot/snapshot.js';
import { checkBeforehand, filesWarnings } from './check-beforehand.js';
import { GONE_CLIENTS } from './gone-clients.js';
import { LOST_ATTACHMENTS, withoutLostAttachments } from './lost-attachments.js';
import { digestOfQueries, earlierPart } from './earlier-parts.js';
import type { TargetEvent } from './events.js';
import type { MessageQueries } from './message-segment.js';
import { messageQueries, messageSegments, type RunBase } from './message-segments.js';
import { readOrigin, type Origin } from './origin.js';
import type { ArchiveOutlet } from './outlet.js';
import { isMessagesPath, ledgerPath, messagesPath, PARTS_DIRECTORY, partPath } from './part-paths.js';
import type { Parts } from './parts.js';
import { planFiles, type PlannedFiles } from './planned-files.js';
import { pullRealmFiles, realmFiles, type Told } from './realm-files.js';
import { beginRun, concludeRun, type RealmResult, type RealmRun, type RunContext } from './realm-run.js';
import { rowQuery, type RowQuery } from './row-query.js';
import type { MessageSegment, Segment } from './segment.js';
import type { BaseReport } from './report.js';
import { runBase } from './run-base.js';
import { Totals } from './totals.js';
import { wantedRows } from './wanted-rows.js';

/** A realm whose rows are copied for it alone. */
export interface AloneRun extends RealmRun {
  /** A session in the snapshot, for this target alone until its rows are copied. */
  readonly session: pg.Client;
  /** Waits until files of this target may be pulled: other targets' may have to come first. */
  readonly turnOfFiles: () => Promise<void>;
  /** Takes finished files as they come, where the export is a stream. */
  readonly outlet: ArchiveOutlet | undefined;
}

/** Rough size of a message with its usermessages in JSON, to put segments in order. */
const BYTES_PER_MESSAGE = 2000;

/**
 * Exports into `output.partial`; the caller verifies and publishes.
 *
 * @param onCopied told when the session is not needed any more, and whether it is still good
 * @returns with what a later run must know to catch up with the server; a single user's has none
 */
export async function exportRealm(context: RunContext, run: AloneRun, onCopied: (good: boolean) => void): Promise<{ result: RealmResult; origin: Origin | undefined }> {
  return new RealmExport(context, run, onCopied).run();
}

class RealmExport {
  readonly #context: RunContext;
  readonly #run: AloneRun;
  readonly #directory: string;
  readonly #totals: Totals;
  readonly #losses: FileEvent[] = [];
  readonly #warnings: string[] = [];
  /** Aborts what else is under way when one piece fails. */
  readonly #stop = new AbortController();
  readonly #signal: AbortSignal;
  #messagesFiles = 0;
  /** That exported messages were sent with. */
  readonly #clients = new Set<number>();
  /** Messages files on their way out. */
  readonly #leaving: Promise<void>[] = [];
  readonly #onCopied: (good: boolean) => void;
  #base: RunBase | undefined;
  #filesOfBase = 0;
  /** In place of parts that the journal knows. */
  #replaced: ReadonlyMap<string, JournalPart> = new Map();

  constructor(context: RunContext, run: AloneRun, onCopied: (good: boolean) => void) {
    this.#onCopied = onCopied;
    this.#context = context;
    this.#run = run;
    this.#directory = run.output.partial;
    this.#totals = new Totals(run.plan);
    this.#signal = AbortSignal.any([this.#stop.signal, context.snapshot.lost]);
    // Each segment under way listens.
    setMaxListeners(0, this.#signal);
  }

  async run(): Promise<{ result: RealmResult; origin: Origin | undefined }> {
    const { plan, session } = this.#run;
    const status = await checkBeforehand(this.#context, this.#run, session, this.#signal);
    for (const text of [...(status?.warnings ?? []), ...filesWarnings(this.#context, this.#run)]) this.#warn(text);
    const identity = beginRun(this.#context, this.#run, plan.tables);
    mkdirSync(join(this.#directory, PARTS_DIRECTORY), { recursive: true, mode: 0o700 });
    const origin = plan.request.mode === 'user' ? undefined : await readOrigin(session, this.#context.snapshot, plan, this.#context.source, identity, this.#queryOfMessages());
    this.#base = await runBase(session, plan, this.#run.base, origin);
    if (this.#base?.compared !== undefined) this.#tell({ kind: 'warning', text: `the rows of messages are compared with those of the base one by one: ${this.#base.compared}` });
    const files = await this.#rowsAndFiles();
    this.#tell({ kind: 'packaging' });
    if (files.lostAttachmentIds.length > 0) this.#replaced = await this.#withoutLost(files);
    const parts = this.#parts();
    const result = await concludeRun(this.#context, this.#run, { parts, totals: this.#totals, files, losses: this.#losses, status, warnings: this.#warnings, base: this.#baseReport(parts) });
    return { result, origin };
  }

  #warn(text: string): void {
    this.#warnings.push(text);
    this.#tell({ kind: 'warning', text });
  }

  #queryOfMessages(): string {
    const { messages, usermessages } = messageQueries(this.#run.plan);
    return digestOfQueries(messages, usermessages);
  }

  #baseReport(parts: Parts): BaseReport | undefined {
    if (this.#base === undefined) return undefined;
    let [messagesFiles, mended] = [0, 0];
    for (const part of parts.messages()) {
      if (part.base === true) messagesFiles += 1;
      if (part.mended === true) mended += 1;
    }
    return { name: this.#base.base.name, compared: this.#base.compared, messagesFiles, mended, files: this.#filesOfBase };
  }

  /** Rows and files at once; the first failure stops the rest, and nothing goes on behind the caller's back. */
  async #rowsAndFiles(): Promise<FilesResult> {
    const cut = (): void => cutConnection(this.#run.session);
    this.#signal.addEventListener('abort', cut, { once: true });
    const told = { event: (event: FileEvent) => this.#toldOfFile(event), loss: (event: FileEvent) => void this.#losses.push(event) };
    const { session, plan } = this.#run;
    const wanted = realmFiles(this.#context, this.#run, wantedRows(session, plan, this.#context.source), told);
    const files = wanted.then((list) => this.#pullFiles(list, told));
    const clients = this.#table('zerver_client');
    const messages = this.#exportMessages();
    const rows = [
      wanted, messages,
      // The messages tell which clients they were sent with, which would take another look at each of them.
      ...(clients === undefined ? [] : [messages.then(() => this.#exportClients(clients))]),
      ...this.#smallTables().map((table) => this.#exportTable(table)),
      ...this.#run.plan.compiled.ledger.filter(({ name }) => name !== LOST_ATTACHMENTS && name !== GONE_CLIENTS).map((view) => this.#exportLedger(view)),
    ];
    void Promise.allSettled(rows).then(() => {
      this.#signal.removeEventListener('abort', cut);
      this.#onCopied(!this.#signal.aborted);
    });
    const pieces = [...rows, files];
    for (const piece of pieces) piece.catch((error: unknown) => this.#stop.abort(error));
    const settled = await Promise.allSettled(pieces);
    if (this.#signal.aborted) throw this.#signal.reason;
    for (const each of settled) if (each.status === 'rejected') throw each.reason;
    await Promise.all(this.#leaving.splice(0));
    return files;
  }

  #toldOfFile(event: FileEvent): void {
    if (event.kind === 'file' && event.base === true) this.#filesOfBase += 1;
    this.#tell({ kind: 'file', event });
  }

  #table(name: string): PlannedTable | undefined {
    return this.#run.plan.tables.find((table) => table.name === name);
  }

  #smallTables(): PlannedTable[] {
    return this.#run.plan.tables.filter((table) => table.file !== 'messages' && table.name !== 'zerver_client');
  }

  /** @param found parameters that only the export itself finds out */
  #exportTable(table: PlannedTable, found: Partial<Parameters> = {}): Promise<void> {
    const { compiled, parameters } = this.#run.plan;
    return this.#tableSegment(partPath(table.name), rowQuery(table, queryOf(table, compiled, { ...parameters, ...found })), this.#bytes(table.name));
  }

  async #exportClients(table: PlannedTable): Promise<void> {
    const found = { message_client_ids: [...this.#clients].sort((a, b) => a - b) };
    const gone = this.#run.plan.compiled.ledger.filter(({ name }) => name === GONE_CLIENTS);
    await Promise.all([this.#exportTable(table, found), ...gone.map((view) => this.#exportLedger(view, found))]);
  }

  /** What stays is told row by row: a part of the report. @param found as for #exportTable */
  #exportLedger(view: CompiledView, found: Partial<Parameters> = {}): Promise<void> {
    const { compiled, parameters } = this.#run.plan;
    const select = ledgerQuery(view, compiled, { ...parameters, ...found });
    // Its rows are few; the tables that it looks through for them need not be.
    const weight = Math.max(0, ...view.tables.map((table) => this.#bytes(table)));
    return this.#tableSegment(ledgerPath(view.name), { table: view.name, select, keys: view.columns, stripped: [] }, weight);
  }

  /** Of a table on the server's disk; 0 where there is no such table. */
  #bytes(table: string): number {
    return this.#context.source.catalog.get(table)?.bytes ?? 0;
  }

  #tableSegment(path: string, query: RowQuery, weight: number): Promise<void> {
    const { journal } = this.#run;
    const digest = digestOfQueries(query);
    return this.#segment({ kind: 'table', path, query, earlier: earlierPart(journal, path, digest) }, weight, () => ({ query: digest }));
  }

  async #exportMessages(): Promise<void> {
    const { session, journal, output, plan } = this.#run;
    const queries = messageQueries(plan);
    const ids = messageIdsQuery(plan.compiled, plan.parameters);
    const planned = await planFiles(join(output.run, 'messages-files'), messageFiles(session, ids))
      .catch((error: unknown) => { throw copyError(error, queries.messages.table, ids, session.user ?? 'the role'); });
    this.#messagesFiles = planned.count;
    this.#tell({ kind: 'planned', messages: planned.messages, messageFiles: planned.count });
    if (planned.count === 0) return this.#emptyMessagesFile(queries.usermessages?.table);
    await this.#messageSegments(planned, queries, journal);
  }

  /** No more segments exist at a time than keep all workers busy. */
  async #messageSegments(planned: PlannedFiles, queries: MessageQueries, journal: Journal): Promise<void> {
    const { pool: { threads, backlog } } = this.#context;
    const segments = messageSegments(planned, queries, journal, this.#base, threads);
    const query = digestOfQueries(queries.messages, queries.usermessages);
    const work = async (segment: MessageSegment): Promise<void> => {
      const ranges = new Map(segment.files.map(({ path, after, until }) => [path, { after, until }]));
      const weight = segment.files.reduce((sum, file) => sum + file.rows, 0) * BYTES_PER_MESSAGE;
      await this.#segment(segment, weight, (path) => ({ query, ...ranges.get(path) }));
    };
    const runner = async (): Promise<void> => {
      for (let next = await segments.next(); next.done !== true; next = await segments.next()) {
        await work(next.value);
        // No more are made than leave.
        await Promise.all(this.#leaving.splice(0));
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
    const path = messagesPath(1);
    const members: Member[] = ['zerver_message', ...(usermessages === undefined ? [] : [usermessages])].map((key) => ({ key, value: [] }));
    this.#messagesFiles = 1;
    this.#finished(await assemble(this.#directory, path, members), false);
  }

  /** @param origin what else the journal is to know of a part */
  #segment(segment: Segment, weight: number, origin: (path: string) => Partial<JournalPart>): Promise<void> {
    return this.#context.pool.run({ segment, directory: this.#directory, schema: this.#context.source.schema }, weight, this.#signal, (message) => {
      switch (message.kind) {
        case 'part': return this.#finished({ ...message.part, ...origin(message.part.path) }, message.kept);
        case 'damaged': return this.#damaged(message.path);
        case 'dealt': return undefined;
        case 'progress': return this.#tell({ ...message, dataClass: this.#totals.classOf(message.table) });
      }
    });
  }

  #damaged(path: string): void {
    this.#tell({ kind: 'warning', text: `${path} is not what the earlier run finished: it is made again` });
  }

  #finished(part: JournalPart, kept: boolean): void {
    this.#totals.add(part);
    for (const client of part.clients ?? []) this.#clients.add(client);
    try {
      this.#run.journal.append('part', part);
    } catch (error) {
      // It comes out of a thread's message, which nobody awaits.
      this.#stop.abort(error);
    }
    if (isMessagesPath(part.path)) this.#leaving.push(this.#leave(part.path));
    this.#tell({ kind: 'part', part, dataClass: this.#totals.classOfPart(part.path), kept });
  }

  async #pullFiles(wanted: WantedFiles, told: Pick<Told, 'event' | 'loss'>): Promise<FilesResult> {
    await this.#run.turnOfFiles();
    return pullRealmFiles(this.#context, this.#run, wanted, this.#signal, { ...told, whole: (path) => this.#leave(path), damaged: (path) => this.#damaged(path) });
  }

  /** The rows of attachments without a file stay, which was not known when they were copied. */
  async #withoutLost({ lostAttachmentIds }: FilesResult): Promise<ReadonlyMap<string, JournalPart>> {
    const { plan, journal } = this.#run;
    const replaced = await withoutLostAttachments(this.#directory, plan, journal.get(partPath('zerver_attachment')), lostAttachmentIds);
    for (const [path, part] of replaced) this.#totals.replace(journal.get(path), part, path);
    return replaced;
  }

  /** A file that has left with a stream is not needed here any more. */
  #leave(path: string): Promise<void> {
    const left = this.#run.outlet?.send(path) ?? Promise.resolve();
    left.catch((error: unknown) => this.#stop.abort(error));
    return left;
  }

  #tell(event: TargetEvent): void {
    this.#context.onEvent({ target: this.#run.target, ...event });
  }

  #parts(): Parts {
    const { journal } = this.#run;
    const count = this.#messagesFiles;
    const get = (path: string): JournalPart | undefined => this.#replaced.get(path) ?? journal.get(path);
    return {
      get,
      copy: (path, file) => file.append(join(this.#directory, get(path)?.path ?? path)),
      *messages() {
        for (let number = 1; number <= count; number++) yield journal.get(messagesPath(number)) as JournalPart;
      },
    };
  }
}
