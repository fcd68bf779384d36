/**
 * The run's side of the queue: it announces the run, sends segments and batches of files, and takes over what workers made of them. Nothing that
 * they write is part of the export until it is given its name here, once.
 */
import { randomUUID } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';
import type PgBoss from 'pg-boss';
import { EXIT, RealmliftError } from '../errors.js';
import { databaseIdentity } from '../export/run-identity.js';
import type { SegmentMessage, SegmentWorkers } from '../export/segment-workers.js';
import type { Assignment } from '../export/worker.js';
import type { FileStore } from '../files/file-store.js';
import { RUN_DIRECTORY } from '../package/output-directory.js';
import { isIntact } from '../package/part-file.js';
import type { ConnectionSettings } from '../snapshot/connection-settings.js';
import type { Snapshot } from '../snapshot/snapshot.js';
import { VERSION } from '../version.js';
import { keyed, placeProbe, sourceMarks } from './expected.js';
import { JobBoard } from './job-board.js';
import { ATTEMPTS_DIRECTORY, type RowsDone, type RowsJob } from './jobs.js';
import { DONE_CHANNEL, openQueue, WORK_CHANNEL } from './queue-schema.js';
import { accept, FILES_AT_ONCE, QueuedStore } from './queued-store.js';
import { QueueSession } from './queue-session.js';
import { announceRun, endRun, removeDeadRuns, workersOf } from './runs.js';

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
  readonly #id = randomUUID();
  #threads = 1;
  #joined!: () => void;
  #isJoined = false;
  #beat: NodeJS.Timeout | undefined;
  #removeProbe: (() => void) | undefined;
  #store: FileStore | undefined;
  /** When somebody was last seen at work. */
  #worked = performance.now();

  private constructor(session: QueueSession, boss: PgBoss, options: CoordinatorOptions & QueueOptions) {
    this.#session = session;
    this.#boss = boss;
    this.#options = options;
    this.#board = new JobBoard(session, boss, this.#id, options.silence);
    this.opened = new Promise((joined) => { this.#joined = joined; });
  }

  /** Runs `work` with the queue, and removes the run from it in the end. @throws RealmliftError QUEUE_UNREACHABLE, QUEUE_VERSION, QUEUE_FORBIDDEN */
  static async with<T>(options: CoordinatorOptions & QueueOptions, work: (coordinator: Coordinator) => Promise<T>): Promise<T> {
    let coordinator: Coordinator | undefined;
    const notice = (): void => void coordinator?.hear();
    const session = await QueueSession.open(options.settings, DONE_CHANNEL, notice);
    try {
      coordinator = new Coordinator(session, await openQueue(session), options);
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
    const output = resolve(this.#options.output);
    await mkdir(output, { recursive: true, mode: 0o700 });
    const { probe, remove } = placeProbe(output, this.#id);
    this.#removeProbe = remove;
    await announceRun(this.#session, this.#boss, this.#id, {
      version: VERSION, ...(await sourceMarks(snapshot.client, snapshot.settings, this.#id)), salt: salt === undefined ? null : keyed(this.#id, salt),
      files: store.name, output, probe, snapshot: { id: snapshot.id, held: snapshot.held }, silence,
    }, RETRY, silence);
    // Behind it, so that who waits for a run to be gone on with sees one or the other.
    const removed = await removeDeadRuns(this.#session, this.#boss);
    if (removed > 0) onWarning(`the queue held ${removed === 1 ? 'a run' : `${removed} runs`} whose coordinator is gone: what was left of it is removed`);
    this.#call();
    this.#worked = performance.now();
    this.#beat = setInterval(() => void this.#look(), silence * 1000 / 3);
    return new QueuedStore(store, this.#board, output);
  }

  async run({ segment, directory, schema }: Assignment, weight: number, signal: AbortSignal, onMessage: (message: SegmentMessage) => void): Promise<void> {
    const output = resolve(this.#options.output);
    const attempts = join(directory, RUN_DIRECTORY, ATTEMPTS_DIRECTORY);
    await mkdir(attempts, { recursive: true, mode: 0o700 });
    const job: RowsJob = { segment, schema, finished: relative(output, directory), attempts: relative(output, attempts) };
    const { attempt, parts, damaged, progress } = await this.#board.send<RowsDone>('rows', job, weight, signal);
    for (const { part, kept } of parts) {
      if (kept) continue;
      const made = join(attempts, attempt, part.path);
      if (!(await isIntact(made, part))) throw notAsTold(made);
      await accept(made, join(directory, part.path), part.size);
    }
    await rm(join(attempts, attempt), { recursive: true, force: true });
    for (const path of damaged) onMessage({ kind: 'damaged', path });
    for (const each of progress) onMessage({ kind: 'progress', ...each });
    for (const { part, kept } of parts) onMessage({ kind: 'part', part, kept });
  }

  letGo(): void {
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
    if (this.#removeProbe === undefined) return;
    this.#removeProbe();
    if (this.lost.aborted) return;
    await endRun(this.#session, this.#boss, this.#id, finished).catch(() => undefined);
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

function notAsTold(path: string): RealmliftError {
  return new RealmliftError('PART_NOT_THERE', 'queue', `${path} is not what a worker says that it wrote`, { hint: 'the output directory must be one that all machines share, and see alike' });
}
