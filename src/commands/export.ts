/**
 * An export, as a table of contents: snapshot -> plan -> copy, transform and files -> package -> verify -> publish.
 * All targets of a run come out of one snapshot and share one pool of workers; one that fails does not stop the others.
 */
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import { closeReferences } from '../export/references/close-references.js';
import { ArchiveOutlet } from '../export/outlet.js';
import { exportRealm } from '../export/export-realm.js';
import type { ExportEvent } from '../export/events.js';
import type { ExportResult, Outcome } from '../export/outcome.js';
import type { RealmResult, RunContext } from '../export/realm-run.js';
import { exportSet, type SetExportOptions } from '../export/set/set-export.js';
import { inTurns, letGo, TARGETS_AT_ONCE, type Turns } from '../export/turns.js';
import { Base, type BasePlace } from '../export/base.js';
import { rememberChecked, sealCatchUp, writeCatchUp } from '../export/catch-up-file.js';
import { databaseIdentity } from '../export/run-identity.js';
import { snapshotsOfUnfinished } from '../export/unfinished.js';
import type { SegmentWorkers } from '../export/segment-workers.js';
import { WorkerPool } from '../export/worker-pool.js';
import { asRealmliftError, EXIT, RealmliftError } from '../errors.js';
import type { FileStore } from '../files/file-store.js';
import type { OrphanChoice } from '../files/pull-files.js';
import type { UploadTarget } from '../files/upload-target.js';
import { MANIFEST, NONE } from '../package/manifest.js';
import type { MigrationStatusOptions } from '../package/migration-status.js';
import { Journal } from '../package/journal.js';
import { takeOutputDirectory, type OutputDirectory } from '../package/output-directory.js';
import { writeRunManifest, type RunEntry } from '../package/run-manifest.js';
import type { TarArchive } from '../package/tarball.js';
import type { Decisions } from '../plan/compile-view.js';
import type { Mode } from '../plan/condition.js';
import { holdExportedTables } from '../plan/hold-tables.js';
import { planExport } from '../plan/plan-export.js';
import { canJoinSet } from '../plan/plan-set.js';
import type { Realm } from '../plan/realm.js';
import { useSchema } from '../plan/search-path.js';
import { readSource } from '../plan/source.js';
import { findTargets, sharedDirectories, type Target, type TargetRequest } from '../plan/targets.js';
import type { PreparedRemap } from '../remap/remap-request.js';
import type { Place } from '../report/place.js';
import type { Times } from '../report/realm-facts.js';
import { writeIndex } from '../report/write-index.js';
import type { Coordinator, QueueOptions } from '../queue/coordinator.js';
import type { ConnectionSettings } from '../snapshot/connection-settings.js';
import { prepareSessions, withLoan, withSnapshot } from '../snapshot/snapshot.js';
import type { LockPatience } from '../snapshot/table-locks.js';
import { ageOf } from '../snapshot/take-snapshot.js';
import { tryTemporaryDirectory } from '../temporary-directory.js';
import { VERSION } from '../version.js';

export interface ExportOptions {
  readonly settings: ConnectionSettings;
  /** Which realms, or which users of which realms. */
  readonly targets: TargetRequest;
  readonly mode: Mode;
  /** Directory under which one directory a target is made. */
  readonly output: string;
  /** Takes each file, under the target's directory, as soon as it is finished, instead of the output; such an export is not verified. */
  readonly archive?: TarArchive | undefined;
  /** Worker threads, each with a session of its own; with a queue, of what this machine does itself. */
  readonly jobs: number;
  /** The work is done by others, who take it from this queue. */
  readonly queue?: QueueOptions | undefined;
  /** Where they store what they finish, instead of the output; such an export is not verified. */
  readonly stored?: UploadTarget | undefined;
  /** Go on with unfinished exports, in their snapshot if another session still holds it. */
  readonly resume: boolean;
  /** A snapshot that another session holds, to export from. */
  readonly snapshot: string | undefined;
  /** Milliseconds after which a snapshot is given up, with all that is unfinished. */
  readonly maxSnapshotAge: number | undefined;
  /** Milliseconds to wait for the locks that keep the tables as they are; undefined without end. */
  readonly lockTimeout?: number | undefined;
  /** Stops the run, which can be resumed. */
  readonly signal: AbortSignal | undefined;
  readonly force: boolean;
  readonly decisions: Decisions;
  /** With approved users: only files that they own travel. */
  readonly approvedFilesOnly: boolean;
  readonly consentMessage: number | undefined;
  /** Overrides what the database says of the server's version. */
  readonly zulipVersion: string | undefined;
  readonly migrationStatus: MigrationStatusOptions;
  /** Opens the place of the files: the local uploads directory or the buckets. */
  readonly openStore: () => Promise<FileStore>;
  readonly fileJobs: number | undefined;
  /** Default `report`; `copy` is for full exports alone. */
  readonly orphans?: OrphanChoice | undefined;
  /** The server's avatar_salt. */
  readonly salt: string | undefined;
  readonly avatars: boolean;
  /** Rows alone travel: the store is one of which nothing is taken. */
  readonly withoutFiles?: boolean | undefined;
  /** Makes the random parts repeatable. */
  readonly randomSeed: string | undefined;
  /** An earlier export of the same realm, whose files are taken over as far as they still hold. */
  readonly base?: BasePlace | undefined;
  /** Publish the export with the ids of another server. */
  readonly remap?: PreparedRemap | undefined;
  /** Read the export again and check it before it is published. */
  readonly verify: boolean;
  readonly onEvent: (event: ExportEvent) => void;
  /** Told what will be exported, before anything is; refuses by throwing. */
  readonly checkTargets?: ((targets: readonly Target[]) => Promise<void>) | undefined;
  /** Where the export of that directory will be for who reads its page, if not there. */
  readonly placeOf?: ((directory: string) => Place) | undefined;
}

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
  const jobs = options.queue === undefined || options.stored !== undefined ? options.jobs : 0;
  return withThreads(jobs, (threads) => withQueue(options, threads, (queue) => withSnapshot(options.settings, async (snapshot) => {
    const { id, takenAt, joined } = snapshot;
    options.onEvent({ kind: 'snapshot', id, takenAt, age: ageOf(snapshot) / 1000, joined });
    await queue?.refuseSource(snapshot);
    await holdExportedTables(snapshot, patience);
    threads.join({ settings: snapshot.settings, id, held: snapshot.held });
    const pool = queue ?? threads;
    // Workers join while the plan is made; what is wrong with it is told when it is needed.
    const announced = queue?.announce(snapshot, options.openStore);
    announced?.catch(() => undefined);
    try {
      const source = await readSource(snapshot.client, options.zulipVersion, options.decisions.strip);
      const targets = await findTargets(snapshot.client, options.targets, (text) => options.onEvent({ target: '', kind: 'warning', text }));
      if (options.remap !== undefined) (await import('../export/remap-finished.js')).refuseRemap(options.remap, source, targets.length);
      if (options.base !== undefined && targets.length > 1) refuseBaseOfOne(options.base, targets);
      await options.checkTargets?.(targets);
      await queue?.begin(targets.map(({ directory }) => directory), options.resume);
      const database = await databaseIdentity(snapshot.client, snapshot.settings);
      const store = await (announced ?? options.openStore());
      try {
        await Promise.all([pool.opened, prepareSessions(snapshot, 'plan', Math.min(targets.length, TARGETS_AT_ONCE))]);
        return await exportTargets(options, targets, { snapshot, database, source, pool, store, fileJobs: queue?.filesAtOnce ?? options.fileJobs, filesTarget: queue && ((directory, resumed) => queue.filesTarget(directory, resumed)) });
      } finally {
        store.close();
      }
    } finally {
      await pool.close();
    }
  }, {
    join: options.snapshot, maxAge: options.maxSnapshotAge, signal: signalOf(options.signal, queue?.lost),
    held: options.resume ? (client) => snapshotsOfUnfinished(client, options.settings, patience, options.output, options.targets) : undefined,
  })));
}

/** Starts them at once, so that they are there when the snapshot is. @param jobs 0 where others do the work */
async function withThreads<T>(jobs: number, work: (threads: WorkerPool) => Promise<T>): Promise<T> {
  const threads = new WorkerPool(jobs);
  try {
    return await work(threads);
  } finally {
    await threads.close();
  }
}

/** Nothing of the queue is loaded where there is none. */
async function withQueue<T>({ queue, output, stored, salt, avatars, onEvent }: ExportOptions, own: SegmentWorkers, work: (coordinator: Coordinator | undefined) => Promise<T>): Promise<T> {
  if (queue === undefined) return work(undefined);
  const { Coordinator } = await import('../queue/coordinator.js');
  return Coordinator.with({ ...queue, output, stored, own, salt: avatars ? salt : undefined, onWarning: (text) => onEvent({ target: '', kind: 'warning', text }) }, work);
}

function signalOf(...signals: readonly (AbortSignal | undefined)[]): AbortSignal | undefined {
  const given = signals.filter((signal) => signal !== undefined);
  return given.length > 1 ? AbortSignal.any(given) : given[0];
}

async function exportTargets(options: ExportOptions, targets: readonly Target[], source: Pick<RunContext, 'snapshot' | 'database' | 'source' | 'pool' | 'store' | 'fileJobs' | 'filesTarget'>): Promise<Outcome[]> {
  const { jobs, orphans = 'report', salt, avatars, migrationStatus, onEvent } = options;
  const context: RunContext = { ...source, jobs, orphans, salt, avatars, migrationStatus, onEvent };
  if (targets.length > 1) onEvent({ kind: 'targets', count: targets.length });
  const refused = sharedDirectories(targets);
  const outcomeOf = new Map<Target, Outcome>([...refused].map(([target, error]) => [target, { target, error }]));
  const together = targetsOfSet(targets.filter((target) => !refused.has(target)), options);
  const ofSet = new Set(together);
  const others = targets.filter((target) => !ofSet.has(target) && !refused.has(target));
  if (together.length > 0) {
    const onCopied = (): void => { if (others.length === 0) letGo(context); };
    for (const outcome of await exportSet(context, together, setOptions(options, onCopied))) outcomeOf.set(outcome.target, 'result' in outcome ? { ...outcome, result: { ...outcome.result, outside: undefined } } : outcome);
  }
  await inTurns(context, others, async (target, turns) => {
    try {
      outcomeOf.set(target, { target, result: await exportTarget(context, target, options, turns) });
    } catch (error) {
      outcomeOf.set(target, { target, error: asRealmliftError(error) });
    }
  });
  const outcomes = targets.map((target) => outcomeOf.get(target) as Outcome);
  if (outcomes.length > 1) {
    const manifest = writeRunManifest(options.output, context.snapshot, VERSION, outcomes.map(runEntry));
    const index = writeIndex(options.output, outcomes);
    for (const path of [index, manifest]) await options.archive?.add(basename(path), path);
  }
  return outcomes;
}

/** Several full exports are one set, but for the realm of the system bots, and where a stream of files, new ids, the workers of a queue or a base take one at a time. */
function targetsOfSet(targets: readonly Target[], { mode, archive, remap, queue, base }: ExportOptions): readonly Target[] {
  const able = mode !== 'full' || archive !== undefined || base !== undefined || remap !== undefined || queue !== undefined ? [] : targets.filter(({ realm, userId }) => userId === undefined && canJoinSet(realm));
  return able.length > 1 ? able : [];
}

function setOptions(options: ExportOptions, onCopied: () => void): SetExportOptions {
  const { output, resume, decisions, randomSeed: seed, verify, placeOf } = options;
  return { output, placeOf, leftovers: resume ? 'resume' : 'refuse', decisions, seed, verify, onCopied, choices: choices(options, { userId: undefined, approved: undefined }) };
}

function runEntry(outcome: Outcome): RunEntry {
  const { name: target, directory } = outcome.target;
  if ('error' in outcome) return { target, directory: null, rows: null, error: outcome.error.code };
  return { target, directory, rows: [...outcome.result.rows.values()].reduce((sum, rows) => sum + rows, 0), error: null };
}

async function exportTarget(context: RunContext, target: Target, options: ExportOptions, turns: Turns): Promise<ExportResult> {
  const started = performance.now();
  context.snapshot.lost.throwIfAborted();
  const output = takeOutputDirectory(options.output, target.directory, options.resume ? 'resume' : 'refuse');
  try {
    const { result, finished, verified, outside } = await exportInto(output, context, target, options, turns, started);
    context.snapshot.lost.throwIfAborted();
    output.publish(finished);
    options.onEvent({ target: target.name, kind: 'finished', directory: output.final });
    return { ...result, directory: output.final, verified, outside };
  } catch (error) {
    output.release();
    throw error;
  }
}

async function exportInto(output: OutputDirectory, context: RunContext, target: Target, options: ExportOptions, turns: Turns, started: number): Promise<Pick<ExportResult, 'verified' | 'outside'> & { result: RealmResult; finished: string }> {
  const { snapshot, source } = context;
  return Journal.with(output.run, (journal) => Base.with(options.base && baseOf(options.base, target, options), output.run, (base) => withLoan(snapshot, 'plan', turns.copied, async (session, copied) => {
    await useSchema(session, source.schema);
    const plan = await closeReferences(session, await planExport(session, source, {
      realm: target.realm, mode: options.mode, userId: target.userId, decisions: options.decisions, consentMessage: options.consentMessage,
      approved: target.approved, avatars: !options.avatars ? 'none' : approvedFilesOnly(options, target) ? 'consenting' : 'all', force: options.force, seed: options.randomSeed ?? journal.head?.seed ?? randomBytes(32).toString('hex'),
    }), source);
    const owners = approvedFilesOnly(options, target) ? new Set(plan.parameters.consenting_user_ids) : undefined;
    const { remap, archive } = options;
    // Ids are rewritten in an export that is whole: such a one leaves after that.
    const outlet = archive === undefined || remap !== undefined ? undefined : new ArchiveOutlet(archive, target.directory, output.partial);
    const { result, origin } = await exportRealm(context, { target: target.name, plan, output, journal, session, owners, options: choices(options, target), flushed: true, outlet, turnOfFiles: turns.files, base }, copied);
    if (origin !== undefined && archive === undefined && remap === undefined) await writeCatchUp(output.partial, origin, journal.finished());
    // Loaded when it is needed: the first row waits for none of it.
    const remapped = remap === undefined ? undefined : await (await import('../export/remap-finished.js')).remapFinished(remap, output);
    const finished = remapped?.directory ?? output.partial;
    const gone = outlet !== undefined || options.stored !== undefined;
    const verify = options.verify && !gone;
    if (verify) options.onEvent({ target: target.name, kind: 'verifying' });
    const hint = `realmlift verify ${finished} lists them; nothing was published`;
    const verified = verify ? await rememberChecked(finished, async (remember) => (await import('../verify/require-good.js')).requireGood(finished, { jobs: options.jobs, before: base?.checked, remember }, hint)) : undefined;
    const times: Times = { finished_at: new Date().toISOString(), seconds: (performance.now() - started) / 1000, verify_seconds: verified?.totals.seconds ?? null, jobs: options.jobs };
    const { finishReport } = await import('../report/finish-report.js');
    await finishReport(finished, { verified, times, place: options.placeOf?.(target.directory) ?? { directory: output.final }, gone });
    await sealCatchUp(finished);
    await outlet?.sendRest((path) => journal.get(path) !== undefined);
    if (archive !== undefined && outlet === undefined) await new ArchiveOutlet(archive, target.directory, finished).sendRest(() => false);
    return { result, finished, verified, outside: remapped?.outside };
  })));
}

function refuseBaseOfOne({ directory, shownAs }: BasePlace, targets: readonly Target[]): void {
  if (targets.some((target) => existsSync(join(directory, target.directory, MANIFEST)))) return;
  throw new RealmliftError('BASE_UNFIT', 'package', `${shownAs} has no directory with an export of any of these realms`, {
    hint: 'name the directory that an earlier run of many realms wrote to; or export one realm with the directory of its own export', exit: EXIT.nothingExported,
  });
}

/** Of a run of many, each target's export there is its base; one that was not there then has none. */
function baseOf(base: BasePlace, { name, directory }: Target, { targets, onEvent }: ExportOptions): BasePlace | undefined {
  const own = join(base.directory, directory);
  if (existsSync(join(own, MANIFEST))) return { ...base, directory: own, shownAs: join(base.shownAs, directory) };
  if (targets.realms !== 'all' && targets.realms.length === 1) return base;
  onEvent({ target: name, kind: 'warning', text: `${own} is no export: ${name} is exported whole` });
  return undefined;
}

function approvedFilesOnly(options: ExportOptions, target: Target): boolean {
  return target.approved !== undefined && options.approvedFilesOnly;
}

/** The choices that shape an export, as the command line names them; the seed is none of anybody's business. */
function choices(options: ExportOptions, target: Pick<Target, 'userId' | 'approved'>): Record<string, unknown> {
  return {
    mode: options.mode,
    ...(target.userId === undefined ? {} : { user: target.userId }),
    ...(target.approved === undefined ? {} : { approved_users: target.approved, files: options.approvedFilesOnly ? 'approved' : 'all' }),
    ...(options.consentMessage === undefined ? {} : { consent_message: options.consentMessage }),
    ...(options.zulipVersion === undefined ? {} : { zulip_version: options.zulipVersion }),
    strip: [...options.decisions.strip], keep: [...options.decisions.keep], avatars: options.avatars,
    ...(options.withoutFiles === true ? { files: NONE } : options.orphans === undefined || options.orphans === 'report' ? {} : { orphans: options.orphans }),
  };
}

export type { Realm, Target };
