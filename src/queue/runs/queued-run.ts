/**
 * A run as its coordinator sees it, whatever it makes: announced in the queue, watched for who takes part in it, and removed in the end. What its jobs
 * are, and what becomes of what workers made, say Coordinator for exports and BackupCoordinator for backups.
 */
import { randomUUID } from 'node:crypto';
import type PgBoss from 'pg-boss';
import { asRealmliftError } from '../../errors.js';
import type { ConnectionSettings } from '../../snapshot/connection-settings.js';
import type { Snapshot } from '../../snapshot/snapshot.js';
import { VERSION } from '../../version.js';
import { refuseSource, sourceMarks, type Expected, type SourceMarks } from './expected.js';
import { JobBoard } from './job-board.js';
import { DONE_CHANNEL, openQueue, WORK_CHANNEL } from './queue-schema.js';
import { queueCleared, QueueSession } from './queue-session.js';
import { announceRun, endRun, isAnnounced, makeQueues, removeDeadRuns, workersOf } from './runs.js';

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
  /** Ends the wait for a queue that does not answer. */
  readonly stop: AbortSignal | undefined;
}

/** What the run says of itself beside what can be seen of its snapshot. */
type Announcement = Pick<Expected, 'salt' | 'files' | 'output' | 'bucket' | 'backup' | 'probe'>;

/** A queue that is not the source, with what is known of the source. */
interface OpenedQueue {
  readonly session: QueueSession;
  readonly boss: PgBoss;
  readonly board: JobBoard;
  readonly marks: SourceMarks;
}

export class QueuedRun {
  readonly id = randomUUID();
  /** Somebody takes part. */
  readonly joined: Promise<void>;
  readonly #options: QueuedRunOptions;
  readonly #connected: Promise<QueueSession>;
  readonly #lost = new AbortController();
  #opened: OpenedQueue | undefined;
  #threads = 1;
  #joined!: () => void;
  #isJoined = false;
  #beat: NodeJS.Timeout | undefined;
  #announced = false;
  /** The last look did. */
  #failed = false;
  /** Why some take no part. */
  readonly #told = new Set<string>();
  /** When somebody was last seen at work. */
  #worked = performance.now();

  private constructor(options: QueuedRunOptions) {
    this.#options = options;
    this.joined = new Promise((resolve) => { this.#joined = resolve; });
    // What it needs is loaded while the servers answer.
    import('pg-boss').catch(() => undefined);
    this.#connected = QueueSession.open(options.settings, DONE_CHANNEL, () => void this.#hear(), options.stop);
    this.#connected.then(({ lost }) => lost.addEventListener('abort', () => this.#lost.abort(lost.reason)), (error: unknown) => this.#lost.abort(error));
  }

  /** Connects to the queue while `work` begins. */
  static async with<T>(options: QueuedRunOptions, work: (run: QueuedRun) => Promise<T>): Promise<T> {
    const run = new QueuedRun(options);
    try {
      return await work(run);
    } finally {
      run.rest();
      await run.#connected.then((session) => session.close(), () => undefined);
    }
  }

  get board(): JobBoard {
    return this.#queue.board;
  }

  /** Sessions of those who have joined. */
  get threads(): number {
    return this.#threads;
  }

  /** Aborts when the queue cannot be reached, or is lost. */
  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  /**
   * Makes the queue ready, but never in the source, in which nothing is written.
   * @throws RealmliftError QUEUE_IN_SOURCE, QUEUE_UNREACHABLE, SERVER_TOO_OLD, QUEUE_VERSION, QUEUE_FORBIDDEN
   */
  async open(source: Snapshot): Promise<void> {
    const [marks, session] = await Promise.all([sourceMarks(source.client, source.settings, this.id), this.#connected]);
    refuseSource(await session.marks(this.#options.settings, this.id), marks);
    const boss = await openQueue(session);
    this.#opened = { session, boss, board: new JobBoard(session, boss, this.id, this.#options.silence), marks };
  }

  /**
   * From here on workers join the run.
   * @param withdraw removes what a run whose coordinator is gone has left where this one writes
   * @param onLook called now and then until the end
   */
  async announce({ id, held }: Snapshot, announcement: Announcement, withdraw: (run: string) => Promise<void>, onLook: () => Promise<void>): Promise<void> {
    const { silence, onWarning } = this.#options;
    const { session, boss, marks } = this.#queue;
    this.#announced = true;
    this.#worked = performance.now();
    this.#beat = setInterval(() => void this.#look(onLook), silence * 1000 / 3);
    await announceRun(session, this.id, { version: VERSION, ...marks, ...announcement, snapshot: { id, held }, silence });
    // Workers connect to the source meanwhile.
    await makeQueues(boss, this.id, RETRY, silence);
    // Behind it, so that who waits for a run to be gone on with sees one or the other.
    const removed = await removeDeadRuns(session);
    for (const run of removed) await withdraw(run);
    if (removed.length > 0) onWarning(`the queue held ${removed.length === 1 ? 'a run' : `${removed.length} runs`} whose coordinator is gone: what was left of it is removed`);
  }

  /** The snapshot is needed no more. */
  letGo(): void {
    this.#queue.session.executeSql(`WITH gone AS (UPDATE realmlift_queue.run SET let_go = true WHERE id = $1 RETURNING id) SELECT pg_notify('${WORK_CHANNEL}', '') FROM gone`, [this.id]).catch(() => undefined);
  }

  /** Looks after nothing any more. */
  rest(): void {
    clearInterval(this.#beat);
    this.#beat = undefined;
  }

  /** @param finished else another run may go on with it, for which workers wait */
  async end(finished: boolean): Promise<void> {
    this.rest();
    if (!this.#announced || this.#queue.session.lost.aborted) return;
    await endRun(this.#queue.session, this.id, finished).catch(() => undefined);
  }

  get #queue(): OpenedQueue {
    if (this.#opened === undefined) throw new Error('the queue is not open');
    return this.#opened;
  }

  /** Somebody says that work is done, or that he is there. What goes wrong is found out at the next look. */
  async #hear(): Promise<void> {
    if (this.#beat === undefined) return;
    await this.board.gather().then(() => (this.#isJoined ? undefined : this.#watch())).catch(() => undefined);
  }

  /** Now and then, whether anybody says something or not. What goes wrong twice in a row ends the run: it would wait for ever. */
  async #look(onLook: () => Promise<void>): Promise<void> {
    if (this.#beat === undefined) return;
    try {
      await this.board.expire();
      await this.board.gather();
      if (!(await isAnnounced(this.#queue.session, this.id)) || await this.board.misses()) throw queueCleared();
      await this.#watch();
      this.#failed = false;
    } catch (error) {
      // Unless the run is over by now.
      if (this.#failed && this.#beat as unknown !== undefined) this.#lost.abort(asRealmliftError(error, 'queue'));
      this.#failed = true;
    }
    await onLook().catch(() => undefined);
  }

  async #watch(): Promise<void> {
    const { silence, onWarning } = this.#options;
    const seen = await workersOf(this.#queue.session, this.id, silence);
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
}
