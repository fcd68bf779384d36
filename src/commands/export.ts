/**
 * An export, as a table of contents: snapshot -> plan -> copy, transform and files -> package -> verify -> publish.
 * All targets of a run come out of one snapshot and share one pool of workers; one that fails does not stop the others.
 */
import { basename } from 'node:path';
import { asRealmliftError, EXIT, RealmliftError } from '../errors.js';
import { readServer } from '../export/base/origin.js';
import { rowsOf, type ListedTarget, type Outcome } from '../export/outcome.js';
import type { RunContext } from '../export/realm-run.js';
import type { SegmentWorkers } from '../export/segments/segment-workers.js';
import { WorkerPool } from '../export/segments/worker-pool.js';
import { exportSet, type SetExportOptions } from '../export/set/set-export.js';
import { expectsNothingNew, refuseBaseOfNone } from '../export/target/base-of-target.js';
import { exportsThere, finishedBefore } from '../export/target/earlier-export.js';
import { exportTarget } from '../export/target/export-target.js';
import { choices, type TargetOptions } from '../export/target/target-options.js';
import { letGo, TARGETS_AT_ONCE, workOnTargets } from '../export/target/turns.js';
import { snapshotsOfUnfinished } from '../export/unfinished.js';
import type { FileStore } from '../files/file-store.js';
import type { UploadTarget } from '../files/upload/upload-target.js';
import type { MigrationStatusOptions } from '../package/migration-status.js';
import { tryRunFiles, writeRunManifest, type RunEntry } from '../package/run-manifest.js';
import { holdExportedTables } from '../plan/hold-tables.js';
import { canJoinSet } from '../plan/plan-set.js';
import { readSource, type Source } from '../plan/source.js';
import { loadRegistry } from '../plan/views/registry.js';
import { findTargets, sharedDirectories, type Target, type TargetRequest } from '../plan/targets.js';
import { writeIndex } from '../report/write-index.js';
import type { Coordinator } from '../queue/exports/coordinator.js';
import type { QueueOptions } from '../queue/runs/queued-run.js';
import type { ConnectionSettings } from '../snapshot/connection-settings.js';
import { databaseIdentity } from '../snapshot/database-identity.js';
import { prepareSessions, withSnapshot, type Snapshot } from '../snapshot/snapshot.js';
import type { LockPatience } from '../snapshot/table-locks.js';
import { ageOf } from '../snapshot/take-snapshot.js';
import { tryTemporaryDirectory } from '../temporary-directory.js';
import { VERSION } from '../version.js';

export interface ExportOptions extends TargetOptions {
  readonly settings: ConnectionSettings;
  /** Which realms, or which users of which realms. */
  readonly targets: TargetRequest;
  /** The work is done by others, who take it from this queue. */
  readonly queue?: QueueOptions | undefined;
  /** Where they store what they finish, instead of the output; such an export is not verified. */
  readonly stored?: UploadTarget | undefined;
  /** A snapshot that another session holds, to export from. */
  readonly snapshot: string | undefined;
  /** Milliseconds after which a snapshot is given up, with all that is unfinished. */
  readonly maxSnapshotAge: number | undefined;
  /** Milliseconds to wait for the locks that keep the tables as they are; undefined without end. */
  readonly lockTimeout?: number | undefined;
  /** Stops the run, which can be resumed. */
  readonly signal: AbortSignal | undefined;
  readonly migrationStatus: MigrationStatusOptions;
  /** Opens the place of the files: the local uploads directory or the buckets. */
  readonly openStore: () => Promise<FileStore>;
  readonly fileJobs: number | undefined;
  /** The server's avatar_salt. */
  readonly salt: string | undefined;
  /** Told what will be exported, before anything is; refuses by throwing. */
  readonly checkTargets?: ((targets: readonly Target[]) => Promise<void>) | undefined;
}

/** Of a run whose workers store in a bucket what they finish. */
const ONE_BY_ONE = 'realms go into the bucket one by one, and each table is read once for each of them: into a directory that all machines share (--output, and --upload for the bucket) it is read once for all';

/** Bytes of all tables up to which this thread copies the rows of a realm itself: others would be ready when it is done. */
const SMALL_SERVER = 8 * 1024 * 1024;

/** How often a run begins anew when somebody waits to change a table just as it begins. */
const ATTEMPTS = 5;

/**
 * @returns the outcome of each target, in the order in which they were named
 * @throws RealmliftError when the run as a whole cannot begin or loses its snapshot; then nothing is at a final path
 */
export async function runExport(options: ExportOptions): Promise<Outcome[]> {
  if (options.remap !== undefined && options.orphans === 'copy') {
    throw new RealmliftError('ORPHANS_REMAPPED', 'usage', 'files that no row claims have no new ids: a remapped export would lack them', { hint: 'leave out --orphans copy, or --remap', exit: EXIT.usage });
  }
  for (let attempt = 1; ; attempt++) {
    try {
      return await runOnce(options);
    } catch (error) {
      const { code = '' } = error as { code?: string };
      // Of the second attempt, who was let through may have changed a table while it began.
      const again = code === 'TABLES_LOCKED' || (code === 'TABLE_CHANGED' && attempt > 1);
      if (!again || options.snapshot !== undefined || attempt === ATTEMPTS) throw error;
      options.onEvent({ target: '', kind: 'warning', text: 'somebody waits to change a table just as the run begins: he is let through, and it begins anew' });
    }
  }
}

async function runOnce(options: ExportOptions): Promise<Outcome[]> {
  const patience: LockPatience = { timeout: options.lockTimeout, onWait: (wait) => options.onEvent({ kind: 'waiting', ...wait }) };
  // Verify needs it in the end, when hours may have passed.
  if (options.verify) await tryTemporaryDirectory();
  const onlyQueue = options.queue !== undefined && options.stored === undefined;
  // Where workers do the rest, a realm's small tables are left; those of many would have one session busy for long.
  const jobs = onlyQueue ? Number(namesOne(options.targets)) : options.jobs;
  const running = withThreads(jobs, (threads) => withQueue(options, threads, (queue) => withSnapshot(options.settings, (snapshot) => exportSnapshot(options, snapshot, { threads, queue, onlyQueue }, patience), {
    join: options.snapshot, maxAge: options.maxSnapshotAge, signal: signalOf(options.signal, queue?.lost),
    held: options.resume ? (client) => snapshotsOfUnfinished(client, options.settings, patience, options.output, options.targets) : undefined,
  })));
  // While the server answers. What is wrong with the views is told where they are needed.
  try {
    loadRegistry();
  } catch { /* See above. */ }
  return running;
}

/** Who copies rows and fetches files. */
interface Workers {
  readonly threads: WorkerPool;
  readonly queue: Coordinator | undefined;
  /** Those of the queue do all but what is not worth the way to them. */
  readonly onlyQueue: boolean;
}

/** Workers join the snapshot while the plan is made, and are gone when all targets are done. */
async function exportSnapshot(options: ExportOptions, snapshot: Snapshot, workers: Workers, patience: LockPatience): Promise<Outcome[]> {
  const { threads, queue, onlyQueue } = workers;
  const { id, takenAt, joined } = snapshot;
  options.onEvent({ kind: 'snapshot', id, takenAt, age: ageOf(snapshot) / 1000, joined });
  const server = await readServer(snapshot.client);
  const nothingNew = options.base !== undefined && await expectsNothingNew(options.base, nameOfOne(options.targets) ?? '', server);
  // One session of the plan at least comes of the tables.
  const [, { bytes, session: prepared }] = await Promise.all([queue?.open(snapshot), holdExportedTables(snapshot, patience)]);
  threads.join({ settings: snapshot.settings, id, held: snapshot.held }, namesOne(options.targets) && (onlyQueue || bytes < SMALL_SERVER), nothingNew);
  const pool = queue ?? threads;
  // What is wrong with it is told when it is needed.
  const announced = queue?.announce(snapshot, options.openStore);
  announced?.catch(() => undefined);
  try {
    const source = await readSource(snapshot.client, options.zulipVersion, options.decisions.strip);
    const targets = await targetsOf(options, snapshot, source);
    await queue?.begin(targets.map(({ directory }) => directory), options.resume);
    const database = await databaseIdentity(snapshot.client, snapshot.settings);
    const store = await (announced ?? options.openStore());
    try {
      // The queue keeps a realm's segments until somebody comes; how a set is dealt out depends on how many have come.
      const opened = onlyQueue && targets.length === 1 ? undefined : pool.opened;
      await Promise.all([opened, prepared, prepareSessions(snapshot, 'plan', Math.min(targets.length, TARGETS_AT_ONCE) - 1)]);
      return await exportTargets(options, targets, { snapshot, server, database, source, pool, store, fileJobs: options.fileJobs, ...(queue && ofQueue(queue)) });
    } finally {
      store.close();
    }
  } finally {
    await Promise.allSettled([pool.close(), prepared]);
  }
}

/** What is to be exported, once nothing speaks against it. */
async function targetsOf(options: ExportOptions, snapshot: Snapshot, source: Source): Promise<Target[]> {
  const targets = await findTargets(snapshot.client, options.targets, (text) => options.onEvent({ target: '', kind: 'warning', text }));
  if (options.remap !== undefined) (await import('../export/target/remap-finished.js')).refuseRemap(options.remap, source, targets.length);
  if (options.base !== undefined) refuseBaseOfNone(options.base, targets);
  if (targets.length > 1) tryRunFiles(options.output);
  await options.checkTargets?.(targets);
  return targets;
}

async function withThreads<T>(jobs: number, work: (threads: WorkerPool) => Promise<T>): Promise<T> {
  const threads = new WorkerPool(jobs, false);
  try {
    return await work(threads);
  } finally {
    await threads.close();
  }
}

/** Nothing of the queue is loaded where there is none. */
async function withQueue<T>({ queue, output, stored, salt, avatars, signal, onEvent }: ExportOptions, own: SegmentWorkers, work: (coordinator: Coordinator | undefined) => Promise<T>): Promise<T> {
  if (queue === undefined) return work(undefined);
  const { Coordinator } = await import('../queue/exports/coordinator.js');
  return Coordinator.with({ ...queue, output, stored, own, salt: avatars ? salt : undefined, stop: signal, onWarning: (text) => onEvent({ target: '', kind: 'warning', text }) }, work);
}

function ofQueue(queue: Coordinator): Pick<RunContext, 'fileJobs' | 'filesTarget' | 'checkStored'> {
  return {
    fileJobs: queue.filesAtOnce,
    filesTarget: (directory, resumed) => queue.filesTarget(directory, resumed),
    checkStored: (directory, journal) => queue.check(directory, journal),
  };
}

function signalOf(...signals: readonly (AbortSignal | undefined)[]): AbortSignal | undefined {
  const given = signals.filter((signal) => signal !== undefined);
  return given.length > 1 ? AbortSignal.any(given) : given[0];
}

async function exportTargets(options: ExportOptions, targets: readonly Target[], source: Pick<RunContext, 'snapshot' | 'server' | 'database' | 'source' | 'pool' | 'store' | 'fileJobs' | 'filesTarget' | 'checkStored'>): Promise<Outcome[]> {
  const { jobs, orphans = 'report', salt, avatars, migrationStatus, onEvent } = options;
  const context: RunContext = { ...source, jobs, orphans, salt, avatars, migrationStatus, onEvent };
  if (targets.length > 1) onEvent({ kind: 'targets', count: targets.length });
  const outcomeOf = await settledBefore(options, targets, source.database);
  const left = targets.filter((target) => !outcomeOf.has(target));
  const together = targetsOfSet(left, options);
  if (options.stored !== undefined && options.mode === 'full' && targets.length > 1) onEvent({ target: '', kind: 'warning', text: ONE_BY_ONE });
  const ofSet = new Set(together);
  const others = left.filter((target) => !ofSet.has(target));
  if (together.length > 0) {
    const onCopied = (): void => { if (others.length === 0) letGo(context); };
    for (const outcome of await exportSet(context, together, setOptions(options, onCopied))) outcomeOf.set(outcome.target, 'result' in outcome ? { ...outcome, result: { ...outcome.result, remapped: undefined } } : outcome);
  }
  const oneNamed = namesOne(options.targets);
  await workOnTargets(context, others, async (target, turns) => {
    try {
      outcomeOf.set(target, { target, result: await exportTarget({ context, target, options, turns, oneNamed, stored: options.stored !== undefined }) });
    } catch (error) {
      outcomeOf.set(target, { target, error: asRealmliftError(error) });
    }
  });
  const outcomes = targets.map((target) => outcomeOf.get(target) as Outcome);
  await bindTogether(options, context.snapshot, outcomes);
  return outcomes;
}

/** Targets that share a directory with another, and those that an earlier run finished. */
async function settledBefore(options: ExportOptions, targets: readonly Target[], database: string): Promise<Map<Target, Outcome>> {
  const outcomeOf = new Map<Target, Outcome>([...sharedDirectories(targets)].map(([target, error]) => [target, { target, error }]));
  for (const target of targets) {
    const earlier = outcomeOf.has(target) ? undefined : await finishedBefore(options, target, database);
    if (earlier === undefined) continue;
    outcomeOf.set(target, { target, earlier });
    options.onEvent({ target: target.name, kind: 'finished-before', directory: earlier.directory, takenAt: earlier.snapshot.takenAt });
  }
  return outcomeOf;
}

/** The manifest and the page of a run of several, which name what lies beside them. */
async function bindTogether({ output, archive }: ExportOptions, snapshot: Snapshot, outcomes: readonly Outcome[]): Promise<void> {
  const listed = outcomes.length > 1 ? await exportsThere(output, outcomes) : undefined;
  if (listed === undefined) return;
  const manifest = writeRunManifest(output, snapshot, VERSION, listed.map(runEntry));
  const index = writeIndex(output, listed);
  for (const path of [index, manifest]) await archive?.add(basename(path), path);
}

/** Several full exports are one set, but for the realm of the system bots, and where a stream of files, new ids, a bucket into which workers store or a base take one at a time. */
function targetsOfSet(targets: readonly Target[], { mode, archive, remap, stored, base }: ExportOptions): readonly Target[] {
  const able = mode !== 'full' || archive !== undefined || base !== undefined || remap !== undefined || stored !== undefined ? [] : targets.filter(({ realm, userId }) => userId === undefined && canJoinSet(realm));
  return able.length > 1 ? able : [];
}

function setOptions(options: ExportOptions, onCopied: () => void): SetExportOptions {
  const { output, resume, decisions, randomSeed: seed, verify, placeOf } = options;
  return { output, placeOf, leftovers: resume ? 'resume' : 'refuse', decisions, seed, verify, onCopied, choices: choices(options, { userId: undefined, approved: undefined }) };
}

/** Of whom there is no set. */
function namesOne(request: TargetRequest): boolean {
  return nameOfOne(request) !== undefined;
}

function nameOfOne({ realms }: TargetRequest): string | undefined {
  return realms !== 'all' && realms.length === 1 ? realms[0] : undefined;
}

function runEntry(outcome: Outcome<ListedTarget>): RunEntry {
  const { name: target, directory } = outcome.target;
  if ('error' in outcome) return { target, directory: null, rows: null, error: outcome.error.code };
  const snapshot = 'earlier' in outcome ? { taken_at: outcome.earlier.snapshot.takenAt, id: outcome.earlier.snapshot.id } : undefined;
  return { target, directory, rows: rowsOf(outcome), error: null, snapshot };
}
