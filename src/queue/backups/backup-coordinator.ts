/**
 * A backup's side of the queue: it sends pieces of the rows and lists of files, and completes the parts that workers made of them. Nothing that they
 * store is part of the backup before that.
 */
import type { BackupWorkers } from '../../backup/save/backup-workers.js';
import type { RowSelection, SavedRows } from '../../backup/save/save-rows.js';
import type { SavedPack } from '../../backup/save/upload-packs.js';
import type { Sealing } from '../../backup/contents/sealing.js';
import type { BackupStore } from '../../backup/store/backup-store.js';
import { writeWhole } from '../../backup/store/backup-store.js';
import type { StagedObject, Staging } from '../../backup/store/staging.js';
import type { ListedFile } from '../../backup/uploads/upload-source.js';
import { RealmliftError } from '../../errors.js';
import { placeName, type UploadPlace } from '../../files/upload/upload-place.js';
import type { Snapshot } from '../../snapshot/snapshot.js';
import { ARCHIVE_DONE, ROWS_PART_DONE, type ArchiveDone, type ArchiveJob, type RowsPartDone, type RowsPartJob } from './backup-jobs.js';
import { newProbe, probeName } from '../runs/probe.js';
import { QueuedRun, type QueuedRunOptions } from '../runs/queued-run.js';

/** Pieces that wait or are under way: enough for the sessions of many machines. */
const BACKLOG = 256;

interface BackupQueueOptions extends QueuedRunOptions {
  /** Where backups are kept. */
  readonly collection: BackupStore;
  /** The same as workers are told of it: an absolute path, or an s3:// URL. */
  readonly location: string;
  readonly uploads: UploadPlace | undefined;
}

export class BackupCoordinator implements BackupWorkers {
  readonly backlog = BACKLOG;
  readonly #run: QueuedRun;
  readonly #options: BackupQueueOptions;
  #staging: Staging | undefined;

  private constructor(run: QueuedRun, options: BackupQueueOptions) {
    this.#run = run;
    this.#options = options;
  }

  /** Runs `work` with the queue, and removes the run from it in the end. */
  static with<T>(options: BackupQueueOptions, work: (workers: BackupCoordinator) => Promise<T>): Promise<T> {
    return QueuedRun.with(options, async (run) => {
      const coordinator = new BackupCoordinator(run, options);
      try {
        return await work(coordinator);
      } finally {
        await options.collection.remove(probeName(run.id)).catch(() => undefined);
        // Also one that failed: no other goes on with it.
        await run.end(true);
      }
    });
  }

  get lost(): AbortSignal {
    return this.#run.lost;
  }

  async begin(snapshot: Snapshot, store: BackupStore, { recipients, compression }: Sealing, schemas: readonly string[]): Promise<void> {
    const { collection, location, uploads } = this.#options;
    await this.#run.open(snapshot);
    this.#staging = store.staging();
    await this.#staging.begin();
    const { name: probed, content, probe } = newProbe(this.#run.id);
    await writeWhole(collection, probed, content);
    const name = store.description.slice(store.description.lastIndexOf('/') + 1);
    await this.#run.announce(snapshot, {
      salt: null, files: uploads === undefined ? '' : placeName(uploads), output: location, bucket: null, probe,
      backup: { name, recipients: recipients.publicKeys, compression, schemas },
    }, (run) => collection.remove(probeName(run)), () => Promise.resolve());
  }

  async rows(selection: RowSelection, part: string, weight: number, signal: AbortSignal): Promise<SavedRows> {
    const job: RowsPartJob = { selection, part };
    const { saved, staged } = await this.#run.board.send<RowsPartDone>('rows', job, weight, signal, ROWS_PART_DONE);
    await this.#complete(staged, part, saved.part.bytes);
    return saved;
  }

  async archive(files: readonly ListedFile[], part: string, signal: AbortSignal): Promise<SavedPack | undefined> {
    const job: ArchiveJob = { files: files.map(({ name, size, modified }) => ({ name, size, modified })), part };
    const { saved, staged } = await this.#run.board.send<ArchiveDone>('files', job, files.reduce((sum, { size }) => sum + size, 0), signal, ARCHIVE_DONE);
    // What a worker cannot read may be read here, and what nobody can read is told by who listed it.
    if (saved.lost.length > 0) {
      await this.#staging?.giveUp(staged);
      return undefined;
    }
    await this.#complete(staged, part, saved.part.bytes);
    return saved;
  }

  letGo(): void {
    this.#run.letGo();
  }

  async finish(): Promise<void> {
    await this.#staging?.end();
  }

  async #complete(staged: StagedObject, part: string, bytes: number): Promise<void> {
    if (staged.name !== part || staged.size !== bytes) throw new RealmliftError('PART_NOT_THERE', 'queue', `a worker has not stored ${part} as it was to`, { hint: 'use the same version of realmlift everywhere' });
    await this.#staging?.complete(staged);
  }
}
