/**
 * Workers over one queue of segments, largest first: threads, or sessions of this one. Any worker takes any segment. A segment that fails is reported to
 * the export that asked for it, by name, and the worker goes on with a new session: one realm's failure is not another's.
 */
import { Worker } from 'node:worker_threads';
import { RealmliftError } from '../../errors.js';
import { THREAD_LIMITS } from '../../threads/thread-limits.js';
import type { SegmentMessage, SegmentWorkers } from './segment-workers.js';
import { received } from './sent-error.js';
import { ABANDON, LET_GO, segmentWorker, type Assignment, type Joining, type ToWorker, type WorkerMessage } from './segment-worker.js';
import type { JoinedSnapshot } from '../../snapshot/snapshot.js';

interface Job {
  readonly assignment: Assignment;
  /** Expected bytes: the largest segment starts first, so that no worker is left alone with it at the end. */
  readonly weight: number;
  readonly signal: AbortSignal;
  readonly onMessage: (message: SegmentMessage) => void;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
  /** Abandons the segment while it is being worked on. */
  stop: (() => void) | undefined;
}

/** A thread, or a worker in this one. */
interface Hand {
  postMessage(message: ToWorker): void;
  /** Ends it, whatever it is doing. */
  terminate(): Promise<unknown>;
}

export class WorkerPool implements SegmentWorkers {
  /** All workers have their sessions; rejects with why one has none. */
  readonly opened: Promise<void>;
  readonly threads: number;
  readonly backlog: number;
  readonly #workers = new Set<Hand>();
  readonly #idle: Hand[] = [];
  readonly #running = new Map<Hand, Job>();
  readonly #queue: Job[] = [];
  #joining: Joining | undefined;
  /** Workers that have not yet told of their first session. */
  #opening: number;
  #allOpened!: () => void;
  #notOpened!: (error: unknown) => void;
  /** Workers are started with the first segment; in this thread, if `here`. */
  #whenAsked: { readonly here: boolean } | undefined;
  #closing = false;

  /** @param atOnce the threads are started, and load their code until they join; else they are when they join */
  constructor(jobs: number, atOnce = true) {
    this.threads = this.#opening = jobs;
    this.backlog = jobs + 1;
    this.opened = new Promise((resolve, reject) => {
      this.#allOpened = resolve;
      this.#notOpened = reject;
    });
    // Perhaps nobody waits for it, since the run has come to its end before.
    this.opened.catch(() => undefined);
    if (atOnce) for (let started = 0; started < jobs; started++) this.#start();
  }

  /**
   * Has every worker open its session, while the plan is still being made.
   *
   * @param here those that are not started yet work in this thread
   * @param whenAsked they are started when there is a segment, which is not expected
   */
  join(snapshot: JoinedSnapshot, here = false, whenAsked = false): void {
    this.#joining = { join: snapshot };
    for (const worker of this.#workers) worker.postMessage(this.#joining);
    if (whenAsked) {
      this.#whenAsked = { here };
      this.#allOpened();
    } else this.#startAll(here);
  }

  /**
   * Has one segment exported by the next free worker.
   *
   * @param signal drops the segment, also when it has begun
   * @throws RealmliftError what the segment failed with; WORKER_FAILED when its thread ended
   */
  run(assignment: Assignment, weight: number, signal: AbortSignal, onMessage: (message: SegmentMessage) => void): Promise<void> {
    if (this.#whenAsked !== undefined) this.#startAll(this.#whenAsked.here);
    return new Promise((resolve, reject) => {
      this.#queue.push({ assignment, weight, signal, onMessage, resolve, reject, stop: undefined });
      this.#dispatch();
    });
  }

  /** Has all threads end their sessions, and themselves: there will be no segment any more. */
  letGo(): void {
    this.#closing = true;
    for (const worker of this.#workers) worker.postMessage(LET_GO);
  }

  /** Ends the threads, whatever they are doing. */
  async close(): Promise<void> {
    this.#closing = true;
    await Promise.all([...this.#workers].map((worker) => worker.terminate()));
  }

  #startAll(here: boolean): void {
    this.#whenAsked = undefined;
    while (this.#workers.size < this.threads) this.#start(here);
  }

  #start(here = false): void {
    const worker = here ? this.#here() : this.#thread();
    if (this.#joining !== undefined) worker.postMessage(this.#joining);
    this.#workers.add(worker);
    this.#idle.push(worker);
  }

  #thread(): Hand {
    const worker = new Worker(new URL('./worker.js', import.meta.url), { resourceLimits: THREAD_LIMITS });
    worker.on('message', (message: WorkerMessage) => this.#received(worker, message));
    worker.on('error', (cause) => this.#ended(worker, cause.message, cause));
    worker.on('exit', (code) => this.#ended(worker, `code ${code}`, undefined));
    return worker;
  }

  #here(): Hand {
    // What is sent is its receiver's own, as between threads.
    const receive = segmentWorker((message) => this.#received(worker, structuredClone(message)), () => undefined);
    const worker: Hand = {
      postMessage: (message) => {
        // Its spool is one of the thread.
        if (typeof message === 'object' && 'segment' in message && message.segment.kind.startsWith('set-')) throw new TypeError('rows of a set are for threads');
        receive(structuredClone(message));
      },
      // Its session is cut, with what it is doing, and nothing is waited for.
      terminate: () => {
        for (const message of [ABANDON, LET_GO] as const) receive(message);
        return Promise.resolve();
      },
    };
    return worker;
  }

  #dispatch(): void {
    while (this.#queue.length > 0 && this.#idle.length > 0) {
      const largest = this.#queue.reduce((best, job, index) => (job.weight > (this.#queue[best] as Job).weight ? index : best), 0);
      const [job] = this.#queue.splice(largest, 1) as [Job];
      if (job.signal.aborted) job.reject(job.signal.reason);
      else {
        const worker = this.#idle.pop() as Hand;
        this.#running.set(worker, job);
        job.stop = () => worker.postMessage(ABANDON);
        job.signal.addEventListener('abort', job.stop, { once: true });
        worker.postMessage(job.assignment);
      }
    }
  }

  #received(worker: Hand, message: WorkerMessage): void {
    if (message.kind === 'opened') {
      this.#opening -= 1;
      if (message.error !== undefined) this.#notOpened(received(message.error, ''));
      else if (this.#opening === 0) this.#allOpened();
      return;
    }
    if (message.kind !== 'done' && message.kind !== 'failed') {
      this.#running.get(worker)?.onMessage(message);
      return;
    }
    const job = this.#finished(worker);
    this.#idle.push(worker);
    if (message.kind === 'done') job?.resolve();
    else job?.reject(job.signal.aborted ? job.signal.reason : received(message.error, segmentOf(job.assignment)));
    this.#dispatch();
  }

  /** A thread that ends by itself has lost its segment; another takes its place. */
  #ended(worker: Hand, why: string, cause: unknown): void {
    if (this.#closing || !this.#workers.delete(worker)) return;
    this.#notOpened(new RealmliftError('WORKER_FAILED', 'copy', `a worker ended (${why})`, { cause }));
    const at = this.#idle.indexOf(worker);
    if (at !== -1) this.#idle.splice(at, 1);
    const job = this.#finished(worker);
    job?.reject(new RealmliftError('WORKER_FAILED', 'copy', `a worker ended (${why})${segmentOf(job.assignment)}`, { table: tableOf(job.assignment), cause }));
    this.#start();
    this.#dispatch();
  }

  /** Takes the worker's segment off it. */
  #finished(worker: Hand): Job | undefined {
    const job = this.#running.get(worker);
    this.#running.delete(worker);
    if (job?.stop !== undefined) job.signal.removeEventListener('abort', job.stop);
    return job;
  }
}

function tableOf({ segment }: Assignment): string {
  switch (segment.kind) {
    case 'messages': return segment.messages.table;
    case 'ids': return segment.table;
    default: return segment.query.table;
  }
}

/** Which part of a table failed, where it is only a part. */
function segmentOf({ segment }: Assignment): string {
  if (segment.kind !== 'messages') return '';
  const [first, last] = [segment.files[0]?.path, segment.files.at(-1)?.path];
  return first === last ? ` (segment ${first})` : ` (segment ${first} to ${last})`;
}
