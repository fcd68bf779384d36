/** One realm (or one user) out of the run's snapshot into one directory, stage by stage. */
import { mkdirSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type pg from 'pg';
import { EXIT, RealmliftError } from '../errors.js';
import type { FileEvent, FilesResult } from '../files/file-events.js';
import type { FileStore } from '../files/file-store.js';
import { pullFiles } from '../files/pull-files.js';
import { assemble, type Member } from '../package/assemble.js';
import { Journal, type JournalPart } from '../package/journal.js';
import { writeManifest } from '../package/manifest.js';
import { hasMigrationStatus, migrationStatus, type MigrationStatusOptions, type MigrationStatusResult } from '../package/migration-status.js';
import { RUN_DIRECTORY, type OutputDirectory } from '../package/output-directory.js';
import { statsJson, statsText, type FileCounts, type RecordCounts } from '../package/stats.js';
import { treeEntries } from '../package/tree-entries.js';
import { hold } from '../plan/condition.js';
import { messageFiles, type PlannedMessageFile } from '../plan/message-files.js';
import type { ExportPlan } from '../plan/plan-export.js';
import { queryOf, type PlannedTable } from '../plan/plan-tables.js';
import type { Source } from '../plan/source.js';
import { joinSnapshot, type Snapshot } from '../snapshot/snapshot.js';
import { VERSION } from '../version.js';
import type { MessageFile, RowQuery, Segment } from './segment.js';
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
  readonly salt: string | undefined;
  readonly avatars: boolean;
  readonly migrationStatus: MigrationStatusOptions;
  readonly onEvent: (event: ExportEvent) => void;
}

/** What an export tells while it works. */
export type ExportEvent =
  | { readonly kind: 'stage'; readonly realm: string; readonly stage: string }
  | { readonly kind: 'progress'; readonly realm: string; readonly table: string; readonly rows: number; readonly bytes: number }
  | { readonly kind: 'part'; readonly realm: string; readonly part: JournalPart }
  | { readonly kind: 'file'; readonly realm: string; readonly event: FileEvent }
  | { readonly kind: 'warning'; readonly realm: string; readonly text: string };

/** What was exported, for the summary. */
export interface RealmResult {
  readonly plan: ExportPlan;
  /** Rows by table. */
  readonly rows: ReadonlyMap<string, number>;
  /** Bytes of JSON by table's data class. */
  readonly bytes: ReadonlyMap<string, number>;
  readonly files: FilesResult;
  readonly losses: readonly FileEvent[];
  readonly warnings: readonly string[];
}

/** How many messages files a worker takes at once: enough to keep the sets of a segment's query cheap, few enough to share out. */
const FILES_PER_SEGMENT = 16;

/** Exports into `output.partial`; the caller verifies and publishes. */
export async function exportRealm(context: RunContext, plan: ExportPlan, output: OutputDirectory): Promise<RealmResult> {
  return new RealmExport(context, plan, output).run();
}

class RealmExport {
  readonly #context: RunContext;
  readonly #plan: ExportPlan;
  readonly #directory: string;
  readonly #name: string;
  readonly #parts = new Map<string, JournalPart>();
  readonly #bytes = new Map<string, number>();
  readonly #losses: FileEvent[] = [];
  readonly #warnings: string[] = [];
  #journal!: Journal;

  constructor(context: RunContext, plan: ExportPlan, output: OutputDirectory) {
    this.#context = context;
    this.#plan = plan;
    this.#directory = output.partial;
    this.#name = plan.request.realm.stringId;
  }

  async run(): Promise<RealmResult> {
    const status = await this.#checkBeforehand();
    mkdirSync(join(this.#directory, RUN_DIRECTORY, 'parts'), { recursive: true });
    this.#journal = await Journal.open(join(this.#directory, RUN_DIRECTORY, 'journal'));
    try {
      const attachments = this.#table('zerver_attachment');
      const [files] = await Promise.all([
        this.#pullFiles().then(async (pulled) => {
          // The rows wait for the files: a row whose file is missing would stop the import half-way.
          if (attachments !== undefined) await this.#exportTable(attachments, pulled.lostAttachmentIds);
          return pulled;
        }),
        this.#exportMessages(),
        ...this.#smallTables().map((table) => this.#exportTable(table, [])),
      ]);
      await this.#package(files, status);
      return { plan: this.#plan, rows: this.#rows(), bytes: this.#bytes, files, losses: this.#losses, warnings: this.#warnings };
    } finally {
      await this.#journal.close();
    }
  }

  /** What can be refused before a row leaves: no salt for avatars, no migration status. */
  async #checkBeforehand(): Promise<MigrationStatusResult | undefined> {
    const { snapshot, salt, avatars, source } = this.#context;
    if (avatars && salt === undefined && await needsSalt(snapshot.client, this.#plan)) {
      throw new RealmliftError('SALT_MISSING', 'plan', 'uploaded avatars are found by a hash salted with the server\'s avatar_salt, which is not known', {
        hint: 'give --zulip-secrets /etc/zulip/zulip-secrets.conf or ZULIP_AVATAR_SALT, or go on without avatars with --no-avatars', exit: EXIT.usage,
      });
    }
    if (this.#plan.request.mode === 'user' || !hasMigrationStatus(source.version)) return undefined;
    const status = migrationStatus(source.version, this.#context.migrationStatus);
    for (const warning of status.warnings) this.#warn(warning);
    return status;
  }

  #warn(text: string): void {
    this.#warnings.push(text);
    this.#context.onEvent({ kind: 'warning', realm: this.#name, text });
  }

  #table(name: string): PlannedTable | undefined {
    return this.#plan.tables.find((table) => table.name === name);
  }

  #smallTables(): PlannedTable[] {
    const estimate = (table: PlannedTable): number => this.#context.source.catalog.get(table.name)?.bytes ?? 0;
    return this.#plan.tables.filter((table) => table.file !== 'messages' && table.name !== 'zerver_attachment').sort((a, b) => estimate(b) - estimate(a));
  }

  async #exportTable(table: PlannedTable, missing: readonly string[]): Promise<void> {
    await this.#segment({ kind: 'table', path: partPath(table), query: this.#query(table, missing) }, missing);
  }

  #query(table: PlannedTable, missing: readonly string[] = [], where = ''): RowQuery {
    const { compiled, parameters, access } = this.#plan;
    const select = queryOf(table, compiled, { ...parameters, missing_attachment_ids: missing }, access, where);
    return { table: table.name, select, keys: table.keys, stripped: table.stripped };
  }

  async #exportMessages(): Promise<void> {
    const messages = this.#table('zerver_message') as PlannedTable;
    const usermessages = this.#table('zerver_usermessage');
    const { pool, jobs, snapshot } = this.#context;
    const running: Promise<void>[] = [];
    let batch: PlannedMessageFile[] = [];
    const start = (): void => {
      if (batch.length === 0) return;
      const { after } = batch[0] as PlannedMessageFile;
      const { until } = batch.at(-1) as PlannedMessageFile;
      const files: MessageFile[] = batch.map(({ number, ...rest }) => ({ path: messagesPath(number), ...rest }));
      running.push(this.#segment({
        kind: 'messages', files, throughViews: this.#plan.access.kind === 'views',
        messages: this.#query(messages, [], `t.id > ${after} AND t.id <= ${until}`),
        usermessages: usermessages === undefined ? undefined : this.#query(usermessages),
      }, []));
      batch = [];
    };
    const planned: PlannedMessageFile[] = [];
    for await (const file of messageFiles(snapshot.client, this.#query(messages).select)) planned.push(file);
    const size = Math.min(FILES_PER_SEGMENT, Math.max(1, Math.ceil(planned.length / (jobs * 4))));
    for (const file of planned) {
      batch.push(file);
      if (batch.length === size) start();
    }
    start();
    void pool;
    if (planned.length === 0) await this.#emptyMessagesFile(usermessages);
    await Promise.all(running);
  }

  /** Zulip writes a first messages file even where there is no message. */
  async #emptyMessagesFile(usermessages: PlannedTable | undefined): Promise<void> {
    if (this.#plan.request.mode === 'user') return;
    const path = messagesPath(1);
    const members: Member[] = [{ key: 'zerver_message', value: [] }, ...(usermessages === undefined ? [] : [{ key: 'zerver_usermessage', value: [] }])];
    this.#finished({ path, ...(await assemble(this.#directory, path, members)), rows: Object.fromEntries(members.map(({ key }) => [key, 0])) });
  }

  async #segment(segment: Segment, missing: readonly string[]): Promise<void> {
    void missing;
    const { pool, onEvent } = this.#context;
    await pool.run({ segment, directory: this.#directory, session: '' }, {
      onMessage: (message) => {
        if (message.kind === 'part') this.#finished(message.part);
        else onEvent({ kind: 'progress', realm: this.#name, table: message.table, rows: message.rows, bytes: message.bytes });
      },
    });
  }

  #finished(part: JournalPart): void {
    this.#parts.set(part.path, part);
    this.#journal.append({ kind: 'part', ...part });
    const dataClass = part.path.startsWith('messages-') ? 'message' : this.#plan.tables.find((table) => partPath(table) === part.path)?.dataClass;
    if (dataClass !== undefined) this.#bytes.set(dataClass, (this.#bytes.get(dataClass) ?? 0) + part.size);
    this.#context.onEvent({ kind: 'part', realm: this.#name, part });
  }

  async #pullFiles(): Promise<FilesResult> {
    const { snapshot, source, store, salt, avatars, fileJobs } = this.#context;
    const session = await joinSnapshot(snapshot.settings, snapshot.id, 'files');
    try {
      await session.query(`SET LOCAL search_path = pg_catalog, ${session.escapeIdentifier(source.schema)}`);
      const wanted = await wantedFiles(session, this.#plan, source, { salt: avatars ? salt : undefined, owners: undefined });
      return await pullFiles(store, wanted, this.#directory, { jobs: fileJobs, signal: snapshot.lost }, (event) => this.#onFile(event));
    } finally {
      await (session as pg.Client).end().catch(() => undefined);
    }
  }

  #onFile(event: FileEvent): void {
    if (event.kind === 'file') {
      const { path, size, sha256, record } = event;
      this.#parts.set(path, { path, size, sha256 });
      this.#journal.append({ kind: 'file', path, size, sha256, record });
    } else this.#losses.push(event);
    this.#context.onEvent({ kind: 'file', realm: this.#name, event });
  }

  #rows(): Map<string, number> {
    const rows = new Map<string, number>();
    for (const part of this.#parts.values()) {
      for (const [table, count] of Object.entries(part.rows ?? {})) if (!part.path.endsWith('realm.json')) rows.set(table, (rows.get(table) ?? 0) + count);
    }
    return rows;
  }

  async #package(files: FilesResult, status: MigrationStatusResult | undefined): Promise<void> {
    const counts: FileCounts[] = [];
    for (const file of new Set(this.#plan.tables.map((table) => table.file).filter((name) => name !== 'messages'))) {
      const tables = this.#plan.tables.filter((table) => table.file === file);
      const members: Member[] = tables.map((table) => ({ key: table.name, part: partPath(table), rows: this.#parts.get(partPath(table))?.rows?.[table.name] ?? 0 }));
      if (file === 'realm.json') members.push(...this.#entries());
      const written = await assemble(this.#directory, file, members);
      const rows = Object.fromEntries(members.map((member) => [member.key, 'part' in member ? member.rows : String(member.value).length]));
      counts.push({ file: file.replace('.json', ''), tables: rows });
      this.#assembled.set(file, { path: file, ...written, rows });
    }
    for (const part of this.#parts.values()) if (part.path.startsWith('messages-')) counts.push({ file: part.path.replace('.json', ''), tables: part.rows ?? {} });
    await this.#writeExtras(files, status, counts.sort((a, b) => (a.file < b.file ? -1 : 1)));
    await this.#writeManifest(status);
  }

  readonly #assembled = new Map<string, JournalPart>();

  /** Constants beside the tables, such as import_source. */
  #entries(): Member[] {
    const circumstances = { mode: this.#plan.request.mode, catalog: this.#context.source.catalog, zerverMigration: this.#context.source.version.zerverMigration };
    const entries = [...this.#plan.compiled.tables.values()].flatMap(({ view }) => view.entries.filter((entry) => hold(entry.when, circumstances)));
    return [...new Map(entries.map(({ key, value }) => [key, { key, value }])).values()];
  }

  async #writeExtras(files: FilesResult, status: MigrationStatusResult | undefined, counts: readonly FileCounts[]): Promise<void> {
    const { mode } = this.#plan.request;
    const write = (name: string, content: string | Iterable<string>): Promise<void> => writeFile(join(this.#directory, name), content, { mode: 0o600 });
    if (mode === 'user') return;
    const { areas } = files;
    const records: RecordCounts = { avatars: areas.avatars.records, uploads: areas.uploads.records, emoji: areas.emoji.records, realm_icons: areas.realm_icons.records };
    if (status !== undefined) await write('migration_status.json', JSON.stringify(status.content, null, 2));
    if (hasMigrationStatus(this.#context.source.version)) await write('stats.json', statsJson(counts, records));
    else await write('stats.txt', statsText(counts, records));
    if (mode === 'consent') await write('consented_user_ids.json', JSON.stringify(this.#plan.parameters.consenting_user_ids));
  }

  async #writeManifest(status: MigrationStatusResult | undefined): Promise<void> {
    const { snapshot } = this.#context;
    const { realm, mode } = this.#plan.request;
    await writeManifest(join(this.#directory, 'manifest.json'), {
      format: 1, realmlift: VERSION, realm: realm.stringId, realm_id: realm.id, mode, zulip_version: status?.content.zulip_version ?? null,
      snapshot: { taken_at: snapshot.takenAt, id: snapshot.id, server: String(snapshot.serverVersion) }, options: {},
    }, treeEntries(this.#directory, (path) => this.#assembled.get(path) ?? this.#parts.get(path)));
  }
}

function partPath(table: PlannedTable): string {
  return `${RUN_DIRECTORY}/parts/${table.name}.json`;
}

function messagesPath(number: number): string {
  return `messages-${String(number).padStart(6, '0')}.json`;
}
