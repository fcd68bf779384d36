/** A worker: one session in the run's snapshot, which takes segment after segment from the coordinator, in a thread of its own (worker.ts) or in the coordinator's. */
import type pg from 'pg';
import { useSchema } from '../../plan/search-path.js';
import type { Progress } from './row-query.js';
import type { DealtRows } from './set-segments.js';
import { UndecodableRows } from '../../copy/copy-error.js';
import { nameUndecodable } from './undecodable-rows.js';
import { sendable, type SentError } from './sent-error.js';
import type { FinishedPart } from './finished-part.js';
import { exportSegment, type Segment } from './segment.js';
import { forCopying } from '../../copy/copy-socket.js';
import { cutConnection } from '../../snapshot/cut-connection.js';
import { joinSnapshot, type JoinedSnapshot } from '../../snapshot/snapshot.js';

/** To the worker, before all else: the threads load their code while the snapshot is still being taken. */
export interface Joining {
  readonly join: JoinedSnapshot;
}

/** To the worker. */
export interface Assignment {
  readonly segment: Segment;
  /** Where parts are written. */
  readonly directory: string;
  /** Where those lie that an earlier run finished; default the same, null where whoever gives the segment has looked at them. */
  readonly finished?: string | null | undefined;
  /** Search path for inline text. */
  readonly schema: string;
}

/** To the worker, instead of an assignment: let go of the segment under way. */
export const ABANDON = 'abandon';

/** To the worker: the database is needed no more. */
export const LET_GO = 'let go';

export type ToWorker = Joining | Assignment | typeof ABANDON | typeof LET_GO;

/** From the worker. */
export type WorkerMessage =
  /** The first session is in the snapshot, or why it is not. */
  | { readonly kind: 'opened'; readonly error: SentError | undefined }
  /** `kept`: an earlier run had finished it. */
  | { readonly kind: 'part'; readonly part: FinishedPart; readonly kept: boolean }
  | { readonly kind: 'damaged'; readonly path: string }
  | { readonly kind: 'progress' } & Progress
  | { readonly kind: 'ids'; readonly ids: readonly number[] | undefined }
  | { readonly kind: 'dealt'; readonly dealt: DealtRows }
  | { readonly kind: 'done' }
  | { readonly kind: 'failed'; readonly error: SentError };

/** Milliseconds between two progress messages of a segment. */
const PROGRESS = 200;

/** Adds up what came, and tells it now and then. */
class Progressing {
  readonly #send: (progress: Progress) => void;
  #table = '';
  #rows = 0;
  #bytes = 0;
  #told = 0;

  constructor(send: (progress: Progress) => void) {
    this.#send = send;
  }

  add({ table, rows, bytes }: Progress): void {
    if (table !== this.#table) {
      this.tell();
      this.#table = table;
    }
    this.#rows += rows;
    this.#bytes += bytes;
    if (performance.now() - this.#told > PROGRESS) this.tell();
  }

  tell(): void {
    if (this.#bytes > 0) this.#send({ table: this.#table, rows: this.#rows, bytes: this.#bytes });
    this.#rows = this.#bytes = 0;
    this.#told = performance.now();
  }
}

class SegmentWorker {
  readonly #snapshot: JoinedSnapshot;
  readonly #send: (message: WorkerMessage) => void;
  /** Opened beforehand; a failed segment leaves it unusable, and the next one opens another. */
  #session: Promise<pg.Client> | undefined;
  /** The session that has its search path. */
  #placed: pg.Client | undefined;

  constructor(snapshot: JoinedSnapshot, send: (message: WorkerMessage) => void) {
    this.#snapshot = snapshot;
    this.#send = send;
    this.#session = this.#open();
    this.#session.then(() => send({ kind: 'opened', error: undefined }), (error: unknown) => send({ kind: 'opened', error: sendable(error) }));
  }

  async work({ segment, directory, finished = directory, schema }: Assignment): Promise<void> {
    const progress = new Progressing((told) => this.#send({ kind: 'progress', ...told }));
    try {
      this.#session ??= this.#open();
      const client = await this.#session;
      if (this.#placed !== client) await useSchema(client, schema);
      this.#placed = client;
      await exportSegment(client, segment, { finished: finished ?? undefined, fresh: directory }, {
        onPart: (part, kept) => this.#send({ kind: 'part', part, kept }),
        onDamaged: (path) => this.#send({ kind: 'damaged', path }),
        onProgress: (each) => progress.add(each),
        onIds: (ids) => this.#send({ kind: 'ids', ids }),
        onDealt: (dealt) => this.#send({ kind: 'dealt', dealt }),
      });
      progress.tell();
      this.#send({ kind: 'done' });
    } catch (error) {
      const session = this.#session;
      this.#session = undefined;
      session?.then((client) => client.end()).catch(() => undefined);
      this.#send({ kind: 'failed', error: sendable(error instanceof UndecodableRows ? await this.#named(error, schema).catch((why: unknown) => why) : error) });
    }
  }

  async #named(error: UndecodableRows, schema: string): Promise<unknown> {
    const client = await this.#open();
    try {
      return await nameUndecodable(client, error, schema);
    } finally {
      await client.end().catch(() => undefined);
    }
  }

  /** Ends the session. */
  async letGo(): Promise<void> {
    await this.#session?.then((client) => client.end()).catch(() => undefined);
    this.#session = undefined;
  }

  /** The copy under way fails at once, and the server ends what it was doing for it. */
  abandon(): void {
    const session = this.#session;
    // The segment may be finished, with only its message on the way: the next one has a session of its own.
    this.#session = undefined;
    session?.then(cutConnection).catch(() => undefined);
  }

  #open(): Promise<pg.Client> {
    const opening = joinSnapshot({ ...this.#snapshot, settings: forCopying(this.#snapshot.settings) }, 'worker');
    // The first assignment reports why there is no session.
    opening.catch(() => undefined);
    return opening;
  }
}

/**
 * A worker that takes messages from now on.
 *
 * @param send takes what it tells
 * @param ended told when it has let go
 */
export function segmentWorker(send: (message: WorkerMessage) => void, ended: () => void): (message: ToWorker) => void {
  let worker: SegmentWorker | undefined;
  return (message) => {
    if (message === ABANDON) worker?.abandon();
    else if (message === LET_GO) void Promise.resolve(worker?.letGo()).then(ended);
    else if ('join' in message) worker = new SegmentWorker(message.join, send);
    else void worker?.work(message);
  };
}
