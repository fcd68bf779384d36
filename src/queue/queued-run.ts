/**
 * A run as its coordinator sees it, whatever it makes: announced in the queue, watched for who takes part in it, and removed in the end. What its jobs
 * are, and what becomes of what workers made, say Coordinator for exports and BackupCoordinator for backups.
 */
import { randomUUID } from 'node:crypto';
import type PgBoss from 'pg-boss';
import { EXIT, RealmliftError } from '../errors.js';
import { databaseIdentity } from '../export/base/run-identity.js';
import type { ConnectionSettings } from '../snapshot/connection-settings.js';
import type { Snapshot } from '../snapshot/snapshot.js';
import { VERSION } from '../version.js';
import { sourceMarks, type Expected } from './expected.js';
import { JobBoard } from './job-board.js';
import { DONE_CHANNEL, openQueue, WORK_CHANNEL } from './queue-schema.js';
import { QueueSession } from './queue-session.js';
import { announceRun, endRun, removeDeadRuns, workersOf } from './runs.js';

/** How often a job that failed is tried again. */
const RETRY = 3;

/** Silences after which it is said that nobody works. */
const PATIENCE = 2;

export interface QueueOptions {
  /** Of the queue's database. */
  readonly settings: ConnectionSettings;
  /** Seconds after which a worker that is not heard of has lost its jobs. */
  readonly silence: number;
}

export interface QueuedRunOptions extends QueueOptions {
  readonly onWarning: (text: string) => void;
}

/** What the run says of itself beside what can be seen of its snapshot. */
type Announcement = Pick<Expected, 'salt' | 'files' | 'output' | 'bucket' | 'backup' | 'probe'>;

export class QueuedRun {
  readonly id = randomUUID();
  readonly board: JobBoard;
  /** Somebody takes part. */
  readonly joined: Promise<void>;
  readonly #session: QueueSession;
  readonly #boss: PgBoss;
  readonly #options: QueuedRunOptions;
  #threads = 1;
  #joined!: () => void;
  #isJoined = false;
  #beat: NodeJS.Timeout | undefined;
  #announced = false;
  /** Why some take no part. */
  readonly #told = new Set<string>();
  /** When somebody was last seen at work. */
  #worked = performance.now();

  private constructor(session: QueueSession, boss: PgBoss, options: QueuedRunOptions) {
    this.#session = session;
    this.#boss = boss;
    this.#options = options;
    this.board = new JobBoard(session, boss, this.id, options.silence);
    this.joined = new Promise((resolve) => { this.#joined = resolve; });
  }

  /** Opens the queue for `work`. @throws RealmliftError QUEUE_UNREACHABLE, QUEUE_VERSION, QUEUE_FORBIDDEN */
  static async with<T>(options: QueuedRunOptions, work: (run: QueuedRun) => Promise<T>): Promise<T> {
    let run: QueuedRun | undefined;
    const session = await QueueSession.open(options.settings, DONE_CHANNEL, () => void run?.hear());
    try {
      run = new QueuedRun(session, await openQueue(session), options);
      return await work(run);
    } finally {
      run?.rest();
      await session.close();
    }
  }

  /** Sessions of those who have joined. */
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
    throw new RealmliftError('QUEUE_IN_SOURCE', 'queue', `--queue names the database that is read (${identity})`, {
      hint: 'the source is only read: make a database for the queue, as CREATE DATABASE realmlift_queue', exit: EXIT.usage,
    });
  }

  /**
   * From here on workers join the run.
   * @param withdraw removes what a run whose coordinator is gone has left where this one writes
   * @param onLook called now and then until the end
   */
  async announce(snapshot: Snapshot, announcement: Announcement, withdraw: (run: string) => Promise<void>, onLook: () => Promise<void>): Promise<void> {
    const { silence, onWarning } = this.#options;
    this.#announced = true;
    await announceRun(this.#session, this.#boss, this.id, {
      version: VERSION, ...(await sourceMarks(snapshot.client, snapshot.settings, this.id)), ...announcement, snapshot: { id: snapshot.id, held: snapshot.held }, silence,
    }, RETRY, silence);
    // Behind it, so that who waits for a run to be gone on with sees one or the other.
    const removed = await removeDeadRuns(this.#session, this.#boss);
    for (const run of removed) await withdraw(run);
    if (removed.length > 0) onWarning(`the queue held ${removed.length === 1 ? 'a run' : `${removed.length} runs`} whose coordinator is gone: what was left of it is removed`);
    this.#call();
    this.#worked = performance.now();
    this.#beat = setInterval(() => void this.#look(onLook), silence * 1000 / 3);
  }

  /** The snapshot is needed no more. */
  letGo(): void {
    this.#session.executeSql('UPDATE realmlift_queue.run SET let_go = true WHERE id = $1', [this.id]).then(() => this.#call(), () => undefined);
  }

  /** Looks after nothing any more. */
  rest(): void {
    clearInterval(this.#beat);
    this.#beat = undefined;
  }

  /** @param finished else another run may go on with it, for which workers wait */
  async end(finished: boolean): Promise<void> {
    this.rest();
    if (!this.#announced || this.lost.aborted) return;
    await endRun(this.#session, this.#boss, this.id, finished).catch(() => undefined);
    await this.#session.executeSql(`NOTIFY ${WORK_CHANNEL}`).catch(() => undefined);
  }

  /** Somebody says that work is done, or that he is there. */
  async hear(): Promise<void> {
    await this.#unlessLost(async () => {
      await this.board.gather();
      if (!this.#isJoined) await this.#watch();
    });
  }

  /** Now and then, whether anybody says something or not. */
  async #look(onLook: () => Promise<void>): Promise<void> {
    await this.#unlessLost(async () => {
      await this.board.expire();
      await this.board.gather();
      await this.#watch();
      await onLook();
    });
  }

  async #unlessLost(work: () => Promise<void>): Promise<void> {
    // What is wrong with the queue ends its session, and so the run.
    if (this.#beat !== undefined) await work().catch(() => undefined);
  }

  async #watch(): Promise<void> {
    const { silence, onWarning } = this.#options;
    const seen = await workersOf(this.#session, this.id, silence);
    const joined = seen.filter(({ refused }) => refused === null);
    if (joined.length > 0) {
      this.#threads = joined.reduce((sum, { threads }) => sum + threads, 0);
      this.#worked = performance.now();
      this.#isJoined = true;
      this.#joined();
      return;
    }
    const refused = seen.map(({ name, refused: why }) => `${name} takes no part: ${why ?? ''}`);
    const idle = (performance.now() - this.#worked) / 1000;
    if (idle < silence * PATIENCE) {
      // Who has just started a worker with other settings need not wait for that.
      const news = refused.filter((each) => !this.#told.has(each));
      for (const each of news) this.#told.add(each);
      if (news.length > 0) onWarning(`no worker takes part yet; ${news.join('; ')}`);
      return;
    }
    this.#worked = performance.now();
    onWarning(`no worker has been there for ${Math.round(idle)} s: waiting for \`realmlift worker --queue\`${refused.length === 0 ? '' : `; ${refused.join('; ')}`}`);
  }

  #call(): void {
    this.#session.executeSql(`NOTIFY ${WORK_CHANNEL}`).catch(() => undefined);
  }
}

/** Tells one database of one running server from any other. */
const INSTANCE = "SELECT concat_ws(' ', pg_postmaster_start_time(), d.oid) AS instance FROM pg_database d WHERE d.datname = current_database()";
