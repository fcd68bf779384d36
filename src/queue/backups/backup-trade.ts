/** A worker's part in a backup: rows and uploaded files into sealed parts, by sessions of its own. It encrypts for whom the backup is, and can open none of it. */
import type pg from 'pg';
import { isBackupName } from '../../backup/contents/part-names.js';
import type { Sealing } from '../../backup/contents/sealing.js';
import { saveRows } from '../../backup/save/save-rows.js';
import { savePack } from '../../backup/save/upload-packs.js';
import { Recipients } from '../../backup/seal/age-keys.js';
import { readWhole, type BackupStore } from '../../backup/store/backup-store.js';
import { openStore } from '../../backup/store/open-store.js';
import { stagingSink, type Staging } from '../../backup/store/staging.js';
import { withUploadSource } from '../../backup/uploads/open-uploads.js';
import { forCopying } from '../../copy/copy-socket.js';
import { RealmliftError } from '../../errors.js';
import { placeName, type UploadPlace } from '../../files/upload/upload-place.js';
import type { ConnectionSettings } from '../../snapshot/connection-settings.js';
import { withLoan, type Lender } from '../../snapshot/snapshot.js';
import { addSchemas } from '../../snapshot/unqualified-names.js';
import { ARCHIVE_JOB, ROWS_PART_JOB, type ArchiveDone, type ArchiveJob, type RowsPartDone, type RowsPartJob } from './backup-jobs.js';
import { keyed, type BackupWork, type Expected } from '../runs/expected.js';
import type { JobKind } from '../runs/runs.js';
import { queueDamaged } from '../runs/shape.js';
import type { Made, Trade } from '../runs/trade.js';

export interface BackupTradeOptions {
  readonly sessions: number;
  /** Where the uploaded files are. @throws RealmliftError FILES_UNKNOWN */
  readonly uploads: () => UploadPlace;
  /** Its path of the directory that all share; undefined where that is the coordinator's. */
  readonly output: string | undefined;
  readonly env: NodeJS.ProcessEnv;
}

export class BackupTrade implements Trade {
  readonly batches: number;
  /** Each that is begun wants a session. */
  readonly ahead = 1;
  readonly files: string | undefined;
  readonly #collection: BackupStore;
  readonly #staging: Staging;
  readonly #sealing: Sealing;
  readonly #schemas: readonly string[];
  readonly #uploads: UploadPlace | undefined;
  readonly #sessions: number;
  readonly #closed = new AbortController();
  /** Sessions that have the schemas that they need. */
  readonly #ready = new WeakSet<pg.Client>();
  #lender: Lender | undefined;

  private constructor(collection: BackupStore, { name, recipients, compression, schemas }: BackupWork, uploads: UploadPlace | undefined, sessions: number) {
    this.#collection = collection;
    this.#staging = collection.within(name).staging();
    this.#sealing = { recipients: Recipients.of(recipients), compression };
    this.#schemas = schemas;
    this.#uploads = uploads;
    this.files = uploads === undefined ? undefined : placeName(uploads);
    this.#sessions = this.batches = sessions;
  }

  static async open({ output, files }: Expected, work: BackupWork, options: BackupTradeOptions): Promise<BackupTrade> {
    // What the queue says is a name of a directory is not to lead elsewhere.
    if (!isBackupName(work.name)) throw new RealmliftError('WORKER_REFUSED', 'queue', 'the run names a directory that no backup has');
    const location = output.startsWith('s3://') ? output : options.output ?? output;
    return new BackupTrade(await openStore(location, options.env), work, files === '' ? undefined : options.uploads(), options.sessions);
  }

  get threads(): number {
    return this.#lender === undefined ? 0 : this.#sessions;
  }

  async elsewhere(run: string, { probe }: Expected): Promise<string | undefined> {
    const found = await readWhole(this.#collection, probe.file, 1024).catch(() => undefined);
    return found !== undefined && keyed(run, found.toString()) === probe.digest ? undefined : `${this.#collection.description} is not where the run writes, or cannot be read`;
  }

  async join(settings: ConnectionSettings, { id, held }: Expected['snapshot']): Promise<void> {
    this.#lender = { settings: forCopying(settings), id, held: [...held], lost: this.#closed.signal, idle: [] };
    // One now, so that what is wrong is told before a job fails of it.
    await this.#withSession(() => Promise.resolve());
  }

  async do(kind: JobKind, data: object, signal: AbortSignal): Promise<Made> {
    if (!(kind === 'files' ? ARCHIVE_JOB : ROWS_PART_JOB)(data)) throw queueDamaged('run');
    return kind === 'files' ? this.#archive(data as ArchiveJob, signal) : this.#rows(data as RowsPartJob, signal);
  }

  letGo(): void {
    for (const client of this.#lender?.idle.splice(0) ?? []) client.end().catch(() => undefined);
  }

  close(): Promise<void> {
    this.letGo();
    this.#closed.abort(new RealmliftError('WORKER_LEFT', 'queue', 'the worker has left the run'));
    return Promise.resolve();
  }

  #rows({ selection, part }: RowsPartJob, signal: AbortSignal): Promise<Made> {
    return this.#withSession(async (client, giveBack) => {
      const { sink, staged } = stagingSink(this.#staging);
      const saving = saveRows(client, selection, sink, part, this.#sealing, signal);
      saving.sent.then(() => giveBack(true), () => undefined);
      const saved = await saving.saved;
      return this.#made({ saved, staged: staged() });
    });
  }

  async #archive({ files, part }: ArchiveJob, signal: AbortSignal): Promise<Made> {
    const { sink, staged } = stagingSink(this.#staging);
    const saved = await withUploadSource(this.#uploads as UploadPlace, signal, (source) => savePack(files.map((file) => source.file(file)), { store: sink, name: part, sealing: this.#sealing, signal }));
    return this.#made({ saved, staged: staged() });
  }

  #made(done: RowsPartDone | ArchiveDone): Made {
    return { done, leave: () => undefined, giveUp: () => this.#staging.giveUp(done.staged) };
  }

  #withSession<T>(work: (client: pg.Client, giveBack: (good: boolean) => void) => Promise<T>): Promise<T> {
    return withLoan(this.#lender as Lender, 'worker', () => undefined, async (client, giveBack) => {
      if (!this.#ready.has(client)) {
        await addSchemas(client, this.#schemas);
        this.#ready.add(client);
      }
      return work(client, giveBack);
    });
  }
}
