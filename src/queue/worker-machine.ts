/** A machine that works for the runs of a queue: it finds them, joins those it may, and leaves them when they are over. */
import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type PgBoss from 'pg-boss';
import { asRealmliftError } from '../errors.js';
import { WorkerPool } from '../export/segments/worker-pool.js';
import { connect } from '../snapshot/connect.js';
import type { ConnectionSettings } from '../snapshot/connection-settings.js';
import { refuseSource, sourceMarks } from './runs/expected.js';
import { openQueue, WORK_CHANNEL } from './runs/queue-schema.js';
import { QueueSession } from './runs/queue-session.js';
import { RunPart } from './run-part.js';
import { announcedRuns, queueOf, tellWorker, type AnnouncedRun } from './runs/runs.js';
import { tradeFor, type WorkerSettings } from './trade-for.js';

/** Milliseconds after which it looks again for runs and jobs, although nobody says anything. */
const LOOK = 1000;

/** Milliseconds between two attempts to reach a queue that is gone. */
const RECONNECT = 2000;

export interface MachineOptions extends WorkerSettings {
  readonly queue: ConnectionSettings;
  /** End when a run that it took part in is finished; one that failed may be gone on with. */
  readonly oneRun: boolean;
  readonly signal: AbortSignal;
  /** What it does, in one line. */
  readonly onEvent: (text: string) => void;
}

/**
 * Works until the signal aborts, or the one run is over.
 * @throws RealmliftError QUEUE_UNREACHABLE, QUEUE_IN_SOURCE, QUEUE_VERSION, QUEUE_FORBIDDEN when the queue cannot be used at the beginning; the reason of the signal
 */
export async function workForQueue(options: MachineOptions): Promise<void> {
  const machine = new WorkerMachine(options);
  for (let first = true; ; first = false) {
    try {
      if (await machine.serve()) return;
    } catch (error) {
      options.signal.throwIfAborted();
      const { code } = asRealmliftError(error);
      if (code !== 'QUEUE_LOST' && (first || code !== 'QUEUE_UNREACHABLE')) throw error;
      options.onEvent(`${asRealmliftError(error).message}: trying again`);
      await sleep(RECONNECT, undefined, { signal: options.signal }).catch(() => options.signal.throwIfAborted());
    }
  }
}

class WorkerMachine {
  readonly #options: MachineOptions;
  /** Of containers that have the name of their host, each may be its first process. */
  readonly #name = `${hostname()}-${process.pid}-${randomBytes(2).toString('hex')}`;
  readonly #parts = new Map<string, RunPart>();
  /** Runs that it is about to join, or has looked at not long ago. */
  readonly #looked = new Set<string>();
  readonly #told = new Map<string, string>();
  #wake: () => void = () => undefined;
  /** Threads that have loaded their code, for the next run. */
  #spare: WorkerPool | undefined;
  #finished = 0;

  constructor(options: MachineOptions) {
    this.#options = options;
  }

  /** @returns true when the one run is over */
  async serve(): Promise<boolean> {
    const { queue, signal, oneRun, onEvent } = this.#options;
    const session = await QueueSession.open(queue, WORK_CHANNEL, (payload) => this.#hear(payload), signal);
    try {
      const boss = await openQueue(session, () => this.#refuseSource(session));
      this.#prepare();
      onEvent('waits for runs');
      const ended = AbortSignal.any([signal, session.lost]);
      ended.addEventListener('abort', () => this.#wake(), { once: true });
      while (!ended.aborted) {
        const awake = new Promise<void>((resolve) => { this.#wake = resolve; });
        await this.#look(session, boss);
        if (oneRun && this.#finished > 0 && this.#parts.size === 0) return true;
        const timer = setTimeout(() => {
          // When nothing has come for a while: where a run has just ended, its coordinator may still be at work on this machine.
          this.#prepare();
          this.#wake();
        }, LOOK);
        await awake;
        clearTimeout(timer);
      }
      throw ended.reason;
    } finally {
      await Promise.all([...this.#parts.values()].map((part) => part.leave()));
      await this.#spare?.close();
      this.#spare = undefined;
      this.#parts.clear();
      this.#looked.clear();
      await session.close();
    }
  }

  /** Has threads for the next run load their code. */
  #prepare(): void {
    if (this.#parts.size === 0) this.#spare ??= new WorkerPool(this.#options.jobs);
  }

  /** Of jobs hears who takes part in their run; whoever is only about to, looks for them then. */
  #hear(payload: string): void {
    const jobs = queueOf(payload);
    if (jobs === undefined) this.#wake();
    else this.#parts.get(jobs.run)?.take(jobs.kind);
  }

  /** A source that cannot be reached is not where the queue is. */
  async #refuseSource(session: QueueSession): Promise<void> {
    const { source, queue, signal } = this.#options;
    const client = await connect(source, 'worker', signal).catch(() => undefined);
    try {
      if (client !== undefined) refuseSource(await session.marks(queue, this.#name), await sourceMarks(client, source, this.#name));
    } finally {
      await client?.end().catch(() => undefined);
    }
  }

  async #look(session: QueueSession, boss: PgBoss): Promise<void> {
    const announced = await announcedRuns(session);
    const living = announced.filter(({ alive }) => alive);
    for (const run of living) {
      const part = this.#parts.get(run.id);
      if (part === undefined) this.#consider(run, session, boss);
      else {
        if (run.letGo) part.letGo();
        part.take();
      }
    }
    for (const [id, part] of this.#parts) {
      if (living.some((run) => run.id === id)) continue;
      this.#parts.delete(id);
      await part.leave();
      const isOver = !announced.some((run) => run.id === id);
      if (isOver) this.#finished += 1;
      this.#options.onEvent(`the run ${short(id)} is ${isOver ? 'over' : 'not finished, and its coordinator is gone'}`);
    }
  }

  /** Joins the run, or tells why not and looks again later: what was wrong may be mended. */
  #consider(run: AnnouncedRun, session: QueueSession, boss: PgBoss): void {
    if (this.#looked.has(run.id)) return;
    this.#looked.add(run.id);
    this.#join(run, session, boss).catch(async (error: unknown) => {
      if (session.lost.aborted) return;
      const { message, hint } = asRealmliftError(error);
      if (this.#told.get(run.id) !== message) this.#options.onEvent(`takes no part in the run ${short(run.id)}: ${message}${hint === undefined ? '' : ` (${hint})`}`);
      this.#told.set(run.id, message);
      await tellWorker(session, run.id, { name: this.#name, threads: 0, refused: message });
      setTimeout(() => this.#looked.delete(run.id), run.expected.silence * 1000 / 3);
    }).catch(() => undefined);
  }

  async #join(run: AnnouncedRun, session: QueueSession, boss: PgBoss): Promise<void> {
    const { onEvent } = this.#options;
    const trade = await tradeFor(run, this.#options, () => this.#takeThreads());
    // Meanwhile all parts may have been left, and this one would be nobody's.
    if (session.lost.aborted) return trade.close();
    const part = new RunPart(run, session, boss, trade, {
      name: this.#name,
      onFailed: (error) => onEvent(`a piece of the run ${short(run.id)} failed here: ${error.code}: ${error.message}`),
      onHindered: ({ code, message, hint }) => onEvent(`the queue gives no work of the run ${short(run.id)}: ${code}: ${message}${hint === undefined ? '' : ` (${hint})`}`),
    });
    this.#parts.set(run.id, part);
    this.#told.delete(run.id);
    onEvent(`takes part in the run ${short(run.id)}`);
    try {
      await part.begin();
    } catch (error) {
      this.#parts.delete(run.id);
      await part.leave();
      throw error;
    }
  }

  #takeThreads(): WorkerPool {
    const threads = this.#spare ?? new WorkerPool(this.#options.jobs);
    this.#spare = undefined;
    return threads;
  }
}

function short(id: string): string {
  return id.slice(0, 8);
}
