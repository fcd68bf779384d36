/** What the export of a realm is, whether its rows are copied for it alone or dealt out of a set: what it shares, how it begins, how it ends. */
import type { FilesResult } from '../files/file-events.js';
import type { FileStore } from '../files/file-store.js';
import type { FilesTarget } from '../files/files-target.js';
import type { OrphanChoice } from '../files/pull-files.js';
import { RECORDS } from '../files/records.js';
import type { FlushBeside } from '../package/flush-together.js';
import type { Journal, JournalPart } from '../package/journal.js';
import type { MigrationStatusOptions, MigrationStatusResult } from '../package/migration-status.js';
import type { OutputDirectory } from '../package/output-directory.js';
import { sweep } from '../package/sweep.js';
import type { PlannedTable } from '../plan/plan-tables.js';
import type { ExportPlan } from '../plan/plan-export.js';
import type { Source } from '../plan/source.js';
import type { Snapshot } from '../snapshot/snapshot.js';
import type { Base } from './base/base.js';
import type { OriginServer } from './base/origin.js';
import type { ExportEvent } from './events.js';
import type { LossList } from './loss-list.js';
import { packageRealm } from './package-realm.js';
import type { Parts } from './parts.js';
import { ledgerEntries, type BaseReport, type LedgerEntry } from './report.js';
import { refuseAnother, runIdentity, type RunIdentity } from './base/run-identity.js';
import type { SegmentWorkers } from './segments/segment-workers.js';
import type { Totals } from './totals.js';

/** What a realm's export shares with the others of its run. */
export interface RunContext {
  readonly snapshot: Snapshot;
  /** What the server was when the snapshot was taken. */
  readonly server: OriginServer;
  /** Which database it is, see databaseIdentity. */
  readonly database: string;
  readonly source: Source;
  readonly pool: SegmentWorkers;
  readonly jobs: number;
  readonly store: FileStore;
  readonly fileJobs: number | undefined;
  /** Where files of the export in a directory get their names; undefined where that is the directory itself. */
  readonly filesTarget?: ((directory: string, resumed: boolean) => Promise<FilesTarget> | undefined) | undefined;
  /**
   * Of an export whose files others store elsewhere: whether all that its journal names is there, before it is said to be whole.
   * @returns how many objects that are
   */
  readonly checkStored?: ((directory: string, journal: Journal) => Promise<number | undefined>) | undefined;
  readonly orphans: OrphanChoice;
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
  /** Of the output directory. */
  readonly journal: Journal;
  /** Users whose files may travel; undefined for everybody in the export. */
  readonly owners: ReadonlySet<number> | undefined;
  /** The choices that shaped the export, for the manifest. */
  readonly options: Readonly<Record<string, unknown>>;
  /** It is flushed to the disk by itself; else many exports are at once. */
  readonly flushed: boolean;
  /** Flushes messages files beside the rows, where they stay. */
  readonly flushing?: FlushBeside | undefined;
  /** An earlier export, whose files are taken over as far as they still hold. */
  readonly base?: Base | undefined;
  /** Told of files that were taken over from the base, once nothing else will be done with them. */
  readonly onTaken?: ((file: JournalPart) => void) | undefined;
}

export interface RealmResult {
  readonly target: string;
  readonly plan: ExportPlan;
  /** Rows by table. */
  readonly rows: ReadonlyMap<string, number>;
  /** Bytes of JSON by data class. */
  readonly bytes: ReadonlyMap<string, number>;
  readonly files: FilesResult;
  readonly warnings: readonly string[];
  readonly base: BaseReport | undefined;
  /** Rows that stayed, by reason. */
  readonly ledger: readonly LedgerEntry[];
  /** Files that hold tables. */
  readonly tableFiles: readonly JournalPart[];
}

/** From here on the run can be resumed, and by no other run than this. @param tables to be told @returns what it exports, whatever its base */
export function beginRun({ snapshot, source, database, onEvent }: RunContext, { journal, plan, output, options, target, flushed, base }: RealmRun, tables: readonly PlannedTable[]): RunIdentity {
  const identity = runIdentity(plan, source, database, options);
  base?.refuseAnother(identity);
  const run = base === undefined ? identity : { ...identity, base: base.name.manifest_sha256 };
  const { seed } = plan.request;
  if (journal.head !== undefined) refuseAnother(journal.head, { run, seed }, output.partial);
  const same = journal.begin({ run, seed }, snapshot, flushed);
  onEvent({ target, kind: 'started', resumed: journal.head === undefined ? 'not' : same ? 'same snapshot' : 'new snapshot', tables: tablesByClass(tables) });
  return identity;
}

export function tablesByClass(tables: readonly PlannedTable[]): Record<string, number> {
  const count: Record<string, number> = {};
  for (const { dataClass } of tables) count[dataClass] = (count[dataClass] ?? 0) + 1;
  return count;
}

/** What an export has when its rows and files are there. */
export interface Finished {
  readonly parts: Parts;
  readonly totals: Totals;
  readonly files: FilesResult;
  readonly losses: LossList;
  readonly status: MigrationStatusResult | undefined;
  readonly warnings: readonly string[];
  readonly base?: BaseReport | undefined;
  /** Files of tables that were taken over from the base. */
  readonly taken?: ReadonlyMap<string, JournalPart> | undefined;
}

/** Packages it; nothing of the package is flushed yet. */
export async function concludeRun({ snapshot, source }: RunContext, { target, plan, options, output, journal }: RealmRun, finished: Finished): Promise<RealmResult> {
  const { parts, totals: { rows, bytes }, files, losses, status, warnings, base, taken } = finished;
  // The journal names files; the records of an area, written anew by every run, are no part of it.
  if (output.resumed) await sweep(output.partial, (path) => RECORDS.has(path) || taken?.has(path) === true || journal.get(path) !== undefined);
  const tableFiles = await packageRealm({ directory: output.partial, plan, source, snapshot, parts, files, status, options, rows, losses, warnings, base, taken });
  return { target, plan, rows, bytes, files, warnings, base, ledger: ledgerEntries(plan, parts), tableFiles };
}
