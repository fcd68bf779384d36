/** One realm (or one user) out of the run's snapshot into one directory: rows and files at the same time, then the package. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type pg from 'pg';
import { EXIT, RealmliftError } from '../errors.js';
import type { FileEvent, FilesResult } from '../files/file-events.js';
import type { FileStore } from '../files/file-store.js';
import { pullFiles } from '../files/pull-files.js';
import { assemble, type Member } from '../package/assemble.js';
import { Journal, type JournalPart } from '../package/journal.js';
import { hasMigrationStatus, migrationStatus, type MigrationStatusOptions, type MigrationStatusResult } from '../package/migration-status.js';
import { RUN_DIRECTORY, type OutputDirectory } from '../package/output-directory.js';
import type { CompiledView } from '../plan/compile-view.js';
import { messageFiles, type PlannedMessageFile } from '../plan/message-files.js';
import type { ExportPlan } from '../plan/plan-export.js';
import { ledgerQuery, queryOf, type PlannedTable } from '../plan/plan-tables.js';
import type { Source } from '../plan/source.js';
import type { Snapshot } from '../snapshot/snapshot.js';
import type { ExportEvent } from './events.js';
import { packageRealm } from './package-realm.js';
import { PARTS_DIRECTORY, LEDGER_PREFIX, ledgerPath, messagesPath, partPath } from './part-paths.js';
import { ledgerEntries, writeReport, type LedgerEntry } from './report.js';
import type { RowQuery, Segment } from './segment.js';
import { needsSalt, wantedFiles } from './wanted.js';
import type { WorkerPool } from './worker-pool.js';

/** What a realm's export shares with the others of its run. */
export interface RunContext {
  readonly snapshot: Snapshot;
  readonly source: Source;
  readonly pool: WorkerPool;
  readonly jobs: number;
  readonly store: FileStore;
  readonly fileJobs: number | undefined;
  /** The server's avatar_salt. */
  readonly salt: string | undefined;
  readonly avatars: boolean;
  readonly migrationStatus: MigrationStatusOptions;
  readonly onEvent: (event: ExportEvent) => void;
}

/** One target of the run. */
export interface RealmRun {
  /** For events and messages, e.g. `acme`. */
  readonly target: string;
  readonly plan: ExportPlan;
  readonly output: OutputDirectory;
  /** A session in the snapshot, for this target alone. */
  readonly session: pg.Client;
  /** Users whose files may travel; undefined for everybody in the export. */
  readonly owners: ReadonlySet<number> | undefined;
  /** The choices that shaped the export, for the manifest. */
  readonly options: Readonly<Record<string, unknown>>;
}

export interface RealmResult {
  readonly target: string;
  readonly plan: ExportPlan;
  /** Rows by table. */
  readonly rows: ReadonlyMap<string, number>;
  /** Bytes of JSON by data class. */
  readonly bytes: ReadonlyMap<string, number>;
  readonly files: FilesResult;
  /** Everything of the files stage that the ledger must name. */
  readonly losses: readonly FileEvent[];
  readonly warnings: readonly string[];
  /** Rows that stayed, by reason. */
  readonly ledger: readonly LedgerEntry[];
}

/** How many messages files a worker takes at once: enough to keep the sets of a segment's query cheap, few enough to share out. */
const FILES_PER_SEGMENT = 16;

/** Rough size of a message with its usermessages in JSON, to put segments in order. */
const BYTES_PER_MESSAGE = 2000;

/** Exports into `output.partial`; the caller verifies and publishes. */
export async function exportRealm(context: RunContext, run: RealmRun): Promise<RealmResult> {
  return new RealmExport(context, run).run();
}

class RealmExport {
  readonly #context: RunContext;
  readonly #run: RealmRun;
  readonly #directory: string;
  readonly #parts = new Map<string, JournalPart>();
  readonly #losses: FileEvent[] = [];
  readonly #warnings: string[] = [];
  /** Aborts what else is under way when one piece fails. */
  readonly #stop = new AbortController();
  readonly #signal: AbortSignal;
  #journal!: Journal;

  constructor(context: RunContext, run: RealmRun) {
    this.#context = context;
    this.#run = run;
    this.#directory = run.output.partial;
    this.#signal = AbortSignal.any([this.#stop.signal, context.snapshot.lost]);
  }

  async run(): Promise<RealmResult> {
    const { plan, target } = this.#run;
    this.#tell({ kind: 'started' });
    const status = await this.#checkBeforehand();
    mkdirSync(join(this.#directory, PARTS_DIRECTORY), { recursive: true });
    this.#journal = await Journal.open(join(this.#directory, RUN_DIRECTORY, 'journal'));
    try {
      const files = await this.#rowsAndFiles();
      this.#tell({ kind: 'packaging' });
      const { snapshot, source } = this.#context;
      const given = { directory: this.#directory, plan, source, snapshot, parts: this.#parts, files, status };
      await writeReport({ ...given, rows: this.#rows(), losses: this.#losses, warnings: this.#warnings });
      await packageRealm({ ...given, options: this.#run.options });
      return {
        target, plan, rows: this.#rows(), bytes: this.#bytes(), files, losses: this.#losses, warnings: this.#warnings,
        ledger: ledgerEntries(plan, this.#parts),
      };
    } finally {
      await this.#journal.close();
    }
  }

  /** What can be refused before a row leaves: no salt for avatars, no migration status. */
  async #checkBeforehand(): Promise<MigrationStatusResult | undefined> {
    const { salt, avatars, source } = this.#context;
    const { plan, session } = this.#run;
    if (avatars && salt === undefined && await needsSalt(session, plan)) {
      throw new RealmliftError('SALT_MISSING', 'plan', 'uploaded avatars are found by a hash salted with the server\'s avatar_salt, which is not known', {
        hint: 'give --zulip-secrets /etc/zulip/zulip-secrets.conf or ZULIP_AVATAR_SALT, or go on without avatars with --no-avatars', exit: EXIT.usage,
      });
    }
    if (plan.request.mode === 'user' || !hasMigrationStatus(source.version)) return undefined;
    const status = migrationStatus(source.version, this.#context.migrationStatus);
    for (const text of status.warnings) {
      this.#warnings.push(text);
      this.#tell({ kind: 'warning', text });
    }
    return status;
  }

  /** Rows and files at once; the first failure stops the rest, and nothing goes on behind the caller's back. */
  async #rowsAndFiles(): Promise<FilesResult> {
    const attachments = this.#table('zerver_attachment');
    const files = this.#pullFiles();
    const pieces = [
      // The rows wait for the files: a row whose file is missing would stop the import half-way.
      attachments === undefined ? files : files.then((pulled) => this.#exportTable(attachments, pulled.lostAttachmentIds)),
      this.#exportMessages(),
      ...this.#smallTables().map((table) => this.#exportTable(table, [])),
      ...this.#run.plan.compiled.ledger.map((view) => this.#exportLedger(view)),
    ];
    for (const piece of pieces) piece.catch((error: unknown) => this.#stop.abort(error));
    const settled = await Promise.allSettled(pieces);
    if (this.#signal.aborted) throw this.#signal.reason;
    for (const each of settled) if (each.status === 'rejected') throw each.reason;
    return files;
  }

  #table(name: string): PlannedTable | undefined {
    return this.#run.plan.tables.find((table) => table.name === name);
  }

  #smallTables(): PlannedTable[] {
    return this.#run.plan.tables.filter((table) => table.file !== 'messages' && table.name !== 'zerver_attachment');
  }

  #exportTable(table: PlannedTable, missing: readonly string[]): Promise<void> {
    const weight = this.#context.source.catalog.get(table.name)?.bytes ?? 0;
    return this.#segment({ kind: 'table', path: partPath(table.name), query: this.#query(table, missing) }, weight);
  }

  /** What stays is told row by row: a part of the report. */
  #exportLedger(view: CompiledView): Promise<void> {
    const { compiled, parameters } = this.#run.plan;
    const select = ledgerQuery(view, compiled, parameters);
    return this.#segment({ kind: 'table', path: ledgerPath(view.name), query: { table: view.name, select, keys: view.columns, stripped: [] } }, 0);
  }

  #query(table: PlannedTable, missing: readonly string[] = [], where = ''): RowQuery {
    const { compiled, parameters } = this.#run.plan;
    const select = queryOf(table, compiled, { ...parameters, missing_attachment_ids: missing }, where);
    return { table: table.name, select, keys: table.keys, stripped: table.stripped };
  }

  async #exportMessages(): Promise<void> {
    const messages = this.#table('zerver_message') as PlannedTable;
    const usermessages = this.#table('zerver_usermessage');
    const planned: PlannedMessageFile[] = [];
    for await (const file of messageFiles(this.#run.session, this.#query(messages).select)) planned.push(file);
    this.#tell({ kind: 'planned', messages: planned.reduce((sum, file) => sum + file.rows, 0), messageFiles: planned.length });
    if (planned.length === 0) return this.#emptyMessagesFile(usermessages);
    const size = Math.min(FILES_PER_SEGMENT, Math.ceil(planned.length / (this.#context.jobs * 4)));
    const running: Promise<void>[] = [];
    for (let at = 0; at < planned.length; at += size) {
      const batch = planned.slice(at, at + size);
      const [first, last] = [batch[0] as PlannedMessageFile, batch.at(-1) as PlannedMessageFile];
      running.push(this.#segment({
        kind: 'messages',
        files: batch.map(({ number, after, until, rows }) => ({ path: messagesPath(number), after, until, rows })),
        messages: this.#query(messages, [], `t.id > ${first.after} AND t.id <= ${last.until}`),
        usermessages: usermessages === undefined ? undefined : this.#query(usermessages),
      }, batch.reduce((sum, file) => sum + file.rows, 0) * BYTES_PER_MESSAGE));
    }
    await Promise.all(running);
  }

  /** Zulip writes a first messages file even where there is no message. */
  async #emptyMessagesFile(usermessages: PlannedTable | undefined): Promise<void> {
    if (this.#run.plan.request.mode === 'user') return;
    const path = messagesPath(1);
    const members: Member[] = ['zerver_message', ...(usermessages === undefined ? [] : [usermessages.name])].map((key) => ({ key, value: [] }));
    this.#finished({ path, ...(await assemble(this.#directory, path, members)), rows: Object.fromEntries(members.map(({ key }) => [key, 0])) });
  }

  #segment(segment: Segment, weight: number): Promise<void> {
    return this.#context.pool.run({ segment, directory: this.#directory }, weight, this.#signal, (message) => {
      if (message.kind === 'part') this.#finished(message.part);
      else this.#tell({ kind: 'progress', table: message.table, rows: message.rows, bytes: message.bytes });
    });
  }

  #finished(part: JournalPart): void {
    this.#parts.set(part.path, part);
    this.#journal.append({ kind: 'part', ...part });
    this.#tell({ kind: 'part', part });
  }

  async #pullFiles(): Promise<FilesResult> {
    const { source, store, salt, avatars, fileJobs } = this.#context;
    const wanted = await wantedFiles(this.#run.session, this.#run.plan, source, { salt: avatars ? salt : undefined, owners: this.#run.owners, onSkipped: (event) => this.#onFile(event) });
    return pullFiles(store, wanted, this.#directory, { jobs: fileJobs, signal: this.#signal }, (event) => this.#onFile(event));
  }

  #onFile(event: FileEvent): void {
    if (event.kind === 'file') {
      const { path, size, sha256, record } = event;
      this.#parts.set(path, { path, size, sha256 });
      this.#journal.append({ kind: 'file', path, size, sha256, record });
    } else this.#losses.push(event);
    this.#tell({ kind: 'file', event });
  }

  #tell(event: Told): void {
    this.#context.onEvent({ target: this.#run.target, ...event });
  }

  #rows(): Map<string, number> {
    const rows = new Map<string, number>();
    for (const { path, rows: counts } of this.#parts.values()) {
      if (path.startsWith(LEDGER_PREFIX)) continue;
      for (const [table, count] of Object.entries(counts ?? {})) rows.set(table, (rows.get(table) ?? 0) + count);
    }
    return rows;
  }

  #bytes(): Map<string, number> {
    const classes = new Map(this.#run.plan.tables.map((table) => [partPath(table.name), table.dataClass]));
    const bytes = new Map<string, number>();
    for (const { path, size, rows } of this.#parts.values()) {
      if (rows === undefined || !(classes.has(path) || path.startsWith('messages-'))) continue;
      const dataClass = classes.get(path) ?? 'message';
      bytes.set(dataClass, (bytes.get(dataClass) ?? 0) + size);
    }
    return bytes;
  }
}

/** An event before its target is added. */
type Told = ExportEvent extends infer Each ? Each extends ExportEvent ? Omit<Each, 'target'> : never : never;
