/**
 * The run's side of the queue: it announces the run, sends segments and batches of files, and takes over what workers made of them. Nothing that
 * they write is part of the export until it is given its name here, once.
 */
import { randomUUID } from 'node:crypto';
import type PgBoss from 'pg-boss';
import { EXIT, RealmliftError } from '../errors.js';
import { databaseIdentity } from '../export/base/run-identity.js';
import type { SegmentMessage, SegmentWorkers } from '../export/segments/segment-workers.js';
import type { Assignment } from '../export/segments/worker.js';
import type { FileStore } from '../files/file-store.js';
import type { FilesTarget } from '../files/files-target.js';
import type { UploadTarget } from '../files/upload/upload-target.js';
import type { ConnectionSettings } from '../snapshot/connection-settings.js';
import type { Snapshot } from '../snapshot/snapshot.js';
import { VERSION } from '../version.js';
import { keyed, sourceMarks } from './expected.js';
import { JobBoard } from './job-board.js';
import type { RowsDone, RowsJob } from './jobs.js';
import { DONE_CHANNEL, openQueue, WORK_CHANNEL } from './queue-schema.js';
import { FILES_AT_ONCE, QueuedStore } from './queued-store.js';
import { QueueSession } from './queue-session.js';
import type { RunOutput } from './run-output.js';
import { announceRun, endRun, removeDeadRuns, workersOf } from './runs.js';
import { SharedDirectory } from './shared-directory.js';

/** How often a job that failed is tried again. */
const RETRY = 3;

/** Segments that wait or are under way: enough for the threads of many machines. */
const BACKLOG = 256;

/** Silences after which it is said that nobody works. */
const PATIENCE = 2;

export interface QueueOptions {
  /** Of the queue's database. */
  readonly settings: ConnectionSettings;
  /** Seconds after which a worker that is not heard of has lost its jobs. */
  readonly silence: number;
}

interface CoordinatorOptions {
  /** Under which the run writes. */
  readonly output: string;
  /** Where workers store what they finish, instead. */
  readonly stored: UploadTarget | undefined;
  /** Does what is not worth the way to a worker, and what only this machine can. */
  readonly own: SegmentWorkers;
  readonly salt: string | undefined;
  readonly onWarning: (text: string) => void;
}

export class Coordinator implements SegmentWorkers {
  readonly backlog = BACKLOG;
  /** Files that may wait or be under way. */
  readonly filesAtOnce = FILES_AT_ONCE;
  readonly opened: Promise<void>;
  readonly #session: QueueSession;
  readonly #boss: PgBoss;
  readonly #board: JobBoard;
  readonly #options: CoordinatorOptions & QueueOptions;
  readonly #output: RunOutput;
  readonly #id = randomUUID();
  #threads = 1;
  #joined!: () => void;
  #isJoined = false;
  #beat: NodeJS.Timeout | undefined;
  #announced = false;
  #begun = false;
  #store: FileStore | undefined;
  /** When somebody was last seen at work. */
  #worked = performance.now();

  private constructor(session: QueueSession, boss: PgBoss, output: RunOutput, options: CoordinatorOptions & QueueOptions) {
    this.#session = session;
    this.#boss = boss;
    this.#options = options;
    this.#board = new JobBoard(session, boss, this.#id, options.silence);
    const joined = new Promise<void>((resolve) => { this.#joined = resolve; });
    this.opened = options.stored === undefined ? joined : Promise.all([joined, options.own.opened]).then(() => undefined);
    this.opened.catch(() => undefined);
    this.#output = output;
  }

  /** Runs `work` with the queue, and removes the run from it in the end. @throws RealmliftError QUEUE_UNREACHABLE, QUEUE_VERSION, QUEUE_FORBIDDEN */
  static async with<T>(options: CoordinatorOptions & QueueOptions, work: (coordinator: Coordinator) => Promise<T>): Promise<T> {
    let coordinator: Coordinator | undefined;
    const notice = (): void => void coordinator?.hear();
    const session = await QueueSession.open(options.settings, DONE_CHANNEL, notice);
    try {
      coordinator = new Coordinator(session, await openQueue(session), await outputOf(options, session.lost), options);
      const result = await work(coordinator);
      await coordinator.#end(true);
      return result;
    } catch (error) {
      if (coordinator !== undefined) await coordinator.#end(false);
      throw error;
    } finally {
      await session.close();
    }
  }

  /** Threads of those who have joined. */
  get threads(): number {
    return this.#threads;
  }

  /** Aborts when the queue is lost. */
  get lost(): AbortSignal {
    return this.#session.lost;
  }

  /** @throws RealmliftError QUEUE_IN_SOURCE */
  async refuseSource(source: Snapshot): Promise<void> {
    const { rows: [queue] } = await this.#session.executeSql<{ instance: string }>(INSTANCE);
    const { rows: [same] } = await source.client.query<{ instance: string }>(INSTANCE);
    const identity = await databaseIdentity(source.client, source.settings);
    if (queue?.instance !== same?.instance && (await this.#session.identity(this.#options.settings)) !== identity) return;
    throw new RealmliftError('QUEUE_IN_SOURCE', 'queue', `--queue names the database that is exported (${identity})`, {
      hint: 'the source is only read: make a database for the queue, as CREATE DATABASE realmlift_queue', exit: EXIT.usage,
    });
  }

  /**
   * Announces the run: from here on workers join it.
   * @param openStore the coordinator's own
   * @returns the one by which workers fetch
   */
  async announce(snapshot: Snapshot, openStore: () => Promise<FileStore>): Promise<FileStore> {
    const store = this.#store = await openStore();
    const { salt, silence, onWarning } = this.#options;
    this.#announced = true;
    const where = await this.#output.announce(this.#id);
    await announceRun(this.#session, this.#boss, this.#id, {
      version: VERSION, ...(await sourceMarks(snapshot.client, snapshot.settings, this.#id)), salt: salt === undefined ? null : keyed(this.#id, salt),
      files: store.name, ...where, snapshot: { id: snapshot.id, held: snapshot.held }, silence,
    }, RETRY, silence);
    // Behind it, so that who waits for a run to be gone on with sees one or the other.
    const removed = await removeDeadRuns(this.#session, this.#boss);
    for (const run of removed) await this.#output.withdraw(run);
    if (removed.length > 0) onWarning(`the queue held ${removed.length === 1 ? 'a run' : `${removed.length} runs`} whose coordinator is gone: what was left of it is removed`);
    this.#call();
    this.#worked = performance.now();
    this.#beat = setInterval(() => void this.#look(), silence * 1000 / 3);
    return new QueuedStore(store, this.#board, this.#output);
  }

  /** Before the first file is made. @param names of the exports @throws RealmliftError UPLOAD_EXISTS */
  async begin(names: readonly string[], resume: boolean): Promise<void> {
    await this.#output.begin(names, resume);
    this.#begun = true;
  }

  /** Where the files of an export get their names; undefined where that is its directory. */
  filesTarget(directory: string, resumed: boolean): Promise<FilesTarget> | undefined {
    return this.#output.filesTarget(directory, resumed);
  }

  async run(assignment: Assignment, weight: number, signal: AbortSignal, onMessage: (message: SegmentMessage) => void): Promise<void> {
    if (this.#output.isOwn(assignment.segment)) return this.#options.own.run(assignment, weight, signal, onMessage);
    const { directory, schema } = assignment;
    const places = await this.#output.places(directory);
    const segment = await this.#output.checked(assignment.segment, directory, (path) => onMessage({ kind: 'damaged', path }));
    const job: RowsJob = { segment, schema, places };
    const { attempt, parts, damaged, progress } = await this.#board.send<RowsDone>('rows', job, weight, signal);
    const taken = [];
    for (const made of parts) taken.push({ part: made.kept && made.part.etag === undefined ? made.part : await this.#output.takePart(made, directory, attempt), kept: made.kept });
    await this.#output.forget(attempt, places.attempts);
    for (const path of damaged) onMessage({ kind: 'damaged', path });
    for (const each of progress) onMessage({ kind: 'progress', ...each });
    for (const { part, kept } of taken) onMessage({ kind: 'part', part, kept });
  }

  letGo(): void {
    this.#options.own.letGo();
    this.#session.executeSql('UPDATE realmlift_queue.run SET let_go = true WHERE id = $1', [this.#id]).then(() => this.#call(), () => undefined);
  }

  close(): Promise<void> {
    clearInterval(this.#beat);
    this.#beat = undefined;
    return Promise.resolve();
  }

  /** @param finished else another run may go on with it, for which workers wait */
  async #end(finished: boolean): Promise<void> {
    await this.close();
    this.#store?.close();
    await this.#output.remember().catch(() => undefined);
    if (this.#announced) await this.#output.withdraw(this.#id).catch(() => undefined);
    await this.#output.close();
    if (!this.#announced || this.lost.aborted) return;
    await endRun(this.#session, this.#boss, this.#id, finished || !this.#begun).catch(() => undefined);
    await this.#session.executeSql(`NOTIFY ${WORK_CHANNEL}`).catch(() => undefined);
  }

  /** Somebody says that work is done, or that he is there. */
  async hear(): Promise<void> {
    await this.#unlessLost(async () => {
      await this.#board.gather();
      if (!this.#isJoined) await this.#watch();
    });
  }

  /** Now and then, whether anybody says something or not. */
  async #look(): Promise<void> {
    await this.#unlessLost(async () => {
      await this.#board.expire();
      await this.#board.gather();
      await this.#watch();
      await this.#output.remember();
    });
  }

  async #unlessLost(work: () => Promise<void>): Promise<void> {
    // What is wrong with the queue ends its session, and so the run.
    if (this.#beat !== undefined) await work().catch(() => undefined);
  }

  async #watch(): Promise<void> {
    const { silence, onWarning } = this.#options;
    const seen = await workersOf(this.#session, this.#id, silence);
    const joined = seen.filter(({ refused }) => refused === null);
    if (joined.length > 0) {
      this.#threads = joined.reduce((sum, { threads }) => sum + threads, 0);
      this.#worked = performance.now();
      this.#isJoined = true;
      this.#joined();
      return;
    }
    const idle = (performance.now() - this.#worked) / 1000;
    if (idle < silence * PATIENCE) return;
    this.#worked = performance.now();
    const refused = seen.map(({ name, refused: why }) => `${name} takes no part: ${why ?? ''}`);
    onWarning(`no worker has been there for ${Math.round(idle)} s: waiting for \`realmlift worker --queue\`${refused.length === 0 ? '' : `; ${refused.join('; ')}`}`);
  }

  #call(): void {
    this.#session.executeSql(`NOTIFY ${WORK_CHANNEL}`).catch(() => undefined);
  }
}

/** Tells one database of one running server from any other. */
const INSTANCE = "SELECT concat_ws(' ', pg_postmaster_start_time(), d.oid) AS instance FROM pg_database d WHERE d.datname = current_database()";

/** The S3 client is loaded only where it is needed. */
async function outputOf({ stored, output }: CoordinatorOptions, lost: AbortSignal): Promise<RunOutput> {
  if (stored === undefined) return new SharedDirectory(output);
  const { SharedBucket } = await import('./shared-bucket.js');
  return new SharedBucket(stored, output, lost);
}
