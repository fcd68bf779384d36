/**
 * An export's side of the queue: it sends segments and batches of files, and takes over what workers made of them. Nothing that they write is part of
 * the export until it is given its name here, once.
 */
import type { SegmentMessage, SegmentWorkers } from '../../export/segments/segment-workers.js';
import { received } from '../../export/segments/sent-error.js';
import type { Assignment } from '../../export/segments/segment-worker.js';
import type { FileStore } from '../../files/file-store.js';
import type { FilesTarget } from '../../files/files-target.js';
import type { UploadTarget } from '../../files/upload/upload-target.js';
import type { Journal } from '../../package/journal.js';
import type { Snapshot } from '../../snapshot/snapshot.js';
import { keyed } from '../runs/expected.js';
import { requireInside, ROWS_DONE, type RowsDone, type RowsJob } from './export-jobs.js';
import { QueuedRun, type QueuedRunOptions } from '../runs/queued-run.js';
import { FILES_AT_ONCE, QueuedStore } from './queued-store.js';
import type { RunOutput } from './run-output.js';
import { isOfSet, requireAll, sentSegment } from './set-jobs.js';
import { SharedDirectory } from './shared-directory.js';

/** Segments that wait or are under way: enough for the threads of many machines. */
const BACKLOG = 256;

interface CoordinatorOptions extends QueuedRunOptions {
  /** Under which the run writes. */
  readonly output: string;
  /** Where workers store what they finish, instead. */
  readonly stored: UploadTarget | undefined;
  /** Does what is not worth the way to a worker, and what only this machine can. */
  readonly own: SegmentWorkers;
  readonly salt: string | undefined;
}

export class Coordinator implements SegmentWorkers {
  readonly backlog = BACKLOG;
  /** Files that may wait or be under way. */
  readonly filesAtOnce = FILES_AT_ONCE;
  readonly opened: Promise<void>;
  readonly #run: QueuedRun;
  readonly #options: CoordinatorOptions;
  readonly #output: RunOutput;
  #announced = false;
  #begun = false;
  #store: FileStore | undefined;

  private constructor(run: QueuedRun, output: RunOutput, options: CoordinatorOptions) {
    this.#run = run;
    this.#options = options;
    this.opened = options.stored === undefined ? run.joined : Promise.all([run.joined, options.own.opened]).then(() => undefined);
    this.opened.catch(() => undefined);
    this.#output = output;
  }

  /** Runs `work` with the queue, and removes the run from it in the end. */
  static with<T>(options: CoordinatorOptions, work: (coordinator: Coordinator) => Promise<T>): Promise<T> {
    return QueuedRun.with(options, async (run) => {
      const coordinator = new Coordinator(run, await outputOf(options, run.lost), options);
      let finished = false;
      try {
        const result = await work(coordinator);
        finished = true;
        return result;
      } finally {
        await coordinator.#end(finished);
      }
    });
  }

  /** Threads of those who have joined. */
  get threads(): number {
    return this.#run.threads;
  }

  /** Aborts when the queue is lost. */
  get lost(): AbortSignal {
    return this.#run.lost;
  }

  /** See QueuedRun.open. */
  open(source: Snapshot): Promise<void> {
    return this.#run.open(source);
  }

  /**
   * Announces the run: from here on workers join it.
   * @param openStore the coordinator's own
   * @returns the one by which workers fetch
   */
  async announce(snapshot: Snapshot, openStore: () => Promise<FileStore>): Promise<FileStore> {
    const store = this.#store = await openStore();
    const { salt } = this.#options;
    this.#announced = true;
    const where = await this.#output.announce(this.#run.id);
    const announcement = { ...where, salt: salt === undefined ? null : keyed(this.#run.id, salt), files: store.name };
    await this.#run.announce(snapshot, announcement, (run) => this.#output.withdraw(run), () => this.#output.remember());
    return new QueuedStore(store, this.#run.board, this.#output);
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

  /** See RunOutput.check. */
  check(directory: string, journal: Journal): Promise<number | undefined> {
    return this.#output.check(directory, journal);
  }

  async run(assignment: Assignment, weight: number, signal: AbortSignal, onMessage: (message: SegmentMessage) => void): Promise<void> {
    const { own } = this.#options;
    const by = this.#output.doneBy(assignment.segment, weight);
    if (by === 'own' || (by === 'own first' && own.threads > 0)) {
      try {
        return await own.run(assignment, weight, signal, onMessage);
      } catch (error) {
        if (by === 'own' || signal.aborted) throw error;
      }
    }
    return this.#byWorkers(assignment, weight, signal, onMessage);
  }

  async #byWorkers(assignment: Assignment, weight: number, signal: AbortSignal, onMessage: (message: SegmentMessage) => void): Promise<void> {
    const { directory, schema } = assignment;
    const places = await this.#output.places(directory);
    const segment = await this.#output.checked(assignment.segment, directory, (path) => onMessage({ kind: 'damaged', path }));
    const job: RowsJob = { segment: isOfSet(segment) ? sentSegment(segment, directory) : segment, schema, places };
    const { attempt, parts, damaged, progress, dealt, fault } = await this.#run.board.send<RowsDone>('rows', job, weight, signal, ROWS_DONE);
    requireInside(attempt, ...[...parts.map(({ part }) => part), ...dealt?.spools ?? []].map(({ path }) => path));
    if (dealt !== undefined && isOfSet(segment)) requireAll(segment.kind, dealt, progress);
    const taken = [];
    for (const made of parts) taken.push({ part: made.kept && made.part.etag === undefined ? made.part : await this.#output.takePart(made, directory, attempt), kept: made.kept });
    if (dealt === undefined) await this.#output.forget(attempt, places.attempts);
    if (fault !== undefined) throw received(fault, '');
    for (const path of damaged) onMessage({ kind: 'damaged', path });
    for (const each of progress) onMessage({ kind: 'progress', ...each });
    for (const { part, kept } of taken) onMessage({ kind: 'part', part, kept });
    if (dealt !== undefined) onMessage({ kind: 'dealt', dealt: { clients: dealt.clients, spools: await this.#output.takeSpools(dealt.spools, directory, attempt) } });
  }

  letGo(): void {
    this.#options.own.letGo();
    this.#run.letGo();
  }

  close(): Promise<void> {
    this.#run.rest();
    return Promise.resolve();
  }

  /** @param finished else another run may go on with it, for which workers wait */
  async #end(finished: boolean): Promise<void> {
    await this.close();
    this.#store?.close();
    await this.#output.remember().catch(() => undefined);
    if (this.#announced) await this.#output.withdraw(this.#run.id).catch(() => undefined);
    await this.#output.close();
    await this.#run.end(finished || !this.#begun);
  }
}

/** The S3 client is loaded only where it is needed. */
async function outputOf({ stored, output }: CoordinatorOptions, lost: AbortSignal): Promise<RunOutput> {
  if (stored === undefined) return new SharedDirectory(output);
  const { SharedBucket } = await import('./shared-bucket.js');
  return new SharedBucket(stored, output, lost);
}
