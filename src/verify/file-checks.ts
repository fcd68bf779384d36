/** Has each file of the export looked at by the workers, and compares what they find with the manifest and the statistics. */
import { addCensus, emptyCensus } from './census.js';
import { asRead, toRemember, type CheckedBefore, type CheckedFile } from './checked-files.js';
import { MANIFEST, type ManifestFile } from '../package/manifest.js';
import { readReplacedRows } from '../package/replaced-rows.js';
import { SIDE_FILES } from '../package/side-files.js';
import type { DigestsAhead } from './digests-ahead.js';
import type { ComparedFile } from '../package/manifest-comparison.js';
import type { OpenedExport } from './export-opening.js';
import { UNREAD } from '../json/file-input.js';
import type { FindingList } from './findings.js';
import { pathId, type IdTable } from '../ids/id-table.js';
import { areaOf, MESSAGES_FILE, NO_TABLE, recordsOf, type Area } from '../package/export-files.js';
import type { TableFileResult } from './check-table-file.js';
import type { RowCounts } from './table-scanner.js';
import type { HashedFile, TaskRunner } from './worker-tasks.js';
import { tellProgress } from '../narration.js';

/** Small files go to a worker in one task: so many, or so many bytes, whichever is reached first. */
const BATCH_FILES = 64;
const BATCH_BYTES = 8 * 1024 * 1024;
const TABLE_FILE = /^(realm|user|analytics|attachment|messages-\d{6,})\.json$/;
/** Zulip's names for message files whose usermessages are still to be added. */
const UNFINISHED = /^messages-\d+\.json\.(partial|locked)$/;

export interface Totals {
  files: number;
  bytes: number;
  /** By table, over all files. */
  rows: Record<string, number>;
}

/** What is known of messages files, and who is told what can be known of them later. */
export interface Checked {
  readonly before: CheckedBefore | undefined;
  readonly remember: ((file: CheckedFile) => void) | undefined;
  /** Whether it was made of one of an earlier export just now. */
  readonly mended: (path: string) => boolean;
  /** Digests that were taken already. */
  readonly ahead: Pick<DigestsAhead, 'has'> | undefined;
}

export class FileChecks {
  readonly totals: Totals = { files: 0, bytes: 0, rows: {} };
  readonly census = emptyCensus();
  readonly #pool: TaskRunner;
  readonly #opened: OpenedExport;
  readonly #findings: FindingList;
  /** The paths that have a record, by area. */
  readonly #records: ReadonlyMap<Area, IdTable>;
  readonly #checked: Checked;
  readonly #onFiles: (totals: Totals) => void;
  readonly #running = new Set<Promise<void>>();
  #failure: { error: unknown } | undefined;
  #batch: ManifestFile[] = [];
  #batchBytes = 0;
  /** Of the message files. */
  #lastNumber = 0;
  /** Results of message files that wait for one with a lower number. */
  readonly #waiting = new Map<number, TableFileResult>();
  #sequence = 0;
  #nextResult = 1;
  #lastMessage = -Infinity;

  constructor(pool: TaskRunner, opened: OpenedExport, findings: FindingList, records: ReadonlyMap<Area, IdTable>, checked: Checked, onFiles: (totals: Totals) => void) {
    this.#pool = pool;
    this.#opened = opened;
    this.#findings = findings;
    this.#records = records;
    this.#checked = checked;
    this.#onFiles = onFiles;
  }

  /** `complete`: the manifest can be read, so that a file which it does not list should not be there. */
  async check({ path, found, listed }: ComparedFile, complete: boolean): Promise<void> {
    if (path === MANIFEST || (listed === undefined && SIDE_FILES.has(path))) return;
    if (found === undefined) {
      this.#error(path, 'the file is missing: the manifest lists it');
      return;
    }
    if (!found.isFile) {
      this.#error(path, 'neither a file nor a folder');
      return;
    }
    if (listed === undefined && complete) this.#error(path, 'the manifest does not list the file');
    if (UNFINISHED.test(path)) this.#error(path, 'left over from an export that was not finished: these messages are missing');
    const area = areaOf(path);
    if (area !== undefined && path !== recordsOf(area) && this.#records.get(area)?.has(pathId(path.slice(area.length + 1))) !== true) {
      this.#error(path, `no record in ${recordsOf(area)}`);
    }
    if (TABLE_FILE.test(path)) await this.#checkTables(path, listed);
    else if (listed !== undefined) await this.#checkBytes(listed);
    else this.totals.files++;
  }

  /** Waits for all workers. */
  async finish(): Promise<void> {
    await this.#sendBatch();
    await Promise.all(this.#running);
    this.#throwFailure();
    for (const [section] of this.#opened.statistics ?? []) {
      this.#error(this.#opened.statisticsFile!, `it counts rows of ${section}, which is not there`);
    }
  }

  /** Counts of an area's records.json, which the workers have read before. */
  compareRecords(area: Area, records: number | undefined): void {
    this.#compareStatistics(`${area}_records`, records === undefined ? undefined : new Map([['', records]]), false);
  }

  #error(file: string, message: string, table?: string): void {
    this.#findings.add('error', file, table, message);
  }

  async #checkTables(path: string, listed: ManifestFile | undefined): Promise<void> {
    const number = MESSAGES_FILE.exec(path)?.[1];
    if (number !== undefined) {
      // After a gap the count goes on from there: one finding for one gap.
      const expected = this.#lastNumber + 1;
      this.#lastNumber = Number(number);
      if (this.#lastNumber !== expected) this.#error(path, `number ${expected} is missing: the import stops before it and loses all that follow`);
    }
    const sequence = number === undefined ? 0 : ++this.#sequence;
    await this.#start((number === undefined ? this.#pool.run('tables', { file: path, direct: false }) : this.#messages(path, listed)).then((result) => {
      this.#findings.append(result.findings);
      if (listed !== undefined) this.#compareWithManifest(listed, result);
      if (listed !== undefined && result.rows !== undefined) this.#compareRows(listed, result.rows);
      this.#compareStatistics(path.replace(/\.json$/, ''), result.rows, true);
      for (const [table, rows] of result.rows ?? []) if (table !== NO_TABLE) this.totals.rows[table] = (this.totals.rows[table] ?? 0) + rows;
      addCensus(this.census, result.census);
      if (sequence > 0) this.#inOrder(sequence, result);
      this.#done(1, result.size);
    }));
  }

  async #messages(path: string, listed: ManifestFile | undefined): Promise<TableFileResult> {
    const { mended, remember } = this.#checked;
    const result = await this.#unchanged(path, listed) ?? await this.#mended(path) ?? await this.#pool.run('tables', { file: path, direct: mended(path) });
    const good = remember === undefined ? undefined : toRemember(result);
    if (good !== undefined && good.sha256 === listed?.sha256) remember?.(good);
    return result;
  }

  /** A file that was found good before is not looked into again. */
  async #unchanged(path: string, listed: ManifestFile | undefined): Promise<TableFileResult | undefined> {
    if (listed === undefined) return undefined;
    const { before, ahead } = this.#checked;
    const known = before?.find(listed.sha256);
    if (known === undefined) return undefined;
    const as = asRead(path, known);
    const sha256 = await ahead?.has(listed) === true ? listed.sha256 : undefined;
    return { ...as, ...await this.#pool.run('unchanged', { path, size: known.size, ids: as.messages.ids, sha256 }) };
  }

  /** Of one that was made of such a file, the new rows are. */
  async #mended(path: string): Promise<TableFileResult | undefined> {
    const { before, mended } = this.#checked;
    const replaced = before !== undefined && mended(path) ? readReplacedRows(this.#opened.directory, path) : undefined;
    const known = replaced && before?.find(replaced.base);
    return known && this.#pool.run('mended', { file: path, known, rows: replaced.rows });
  }

  /** Message ids are to rise from file to file. */
  #inOrder(sequence: number, result: TableFileResult): void {
    this.#waiting.set(sequence, result);
    for (let next = this.#waiting.get(this.#nextResult); next !== undefined; next = this.#waiting.get(this.#nextResult)) {
      this.#waiting.delete(this.#nextResult++);
      if (next.messages === undefined) continue;
      if (next.messages.min <= this.#lastMessage) {
        const severity = this.#opened.ours ? 'error' : 'note';
        this.#findings.add(severity, next.file, 'zerver_message', `message ids do not rise from file to file: ${next.messages.min} after ${this.#lastMessage}`);
      }
      this.#lastMessage = Math.max(this.#lastMessage, next.messages.max);
    }
  }

  async #checkBytes(listed: ManifestFile): Promise<void> {
    if (await this.#checked.ahead?.has(listed) === true) {
      this.#done(1, listed.size);
      return;
    }
    this.#batch.push(listed);
    this.#batchBytes += listed.size;
    if (this.#batch.length >= BATCH_FILES || this.#batchBytes >= BATCH_BYTES) await this.#sendBatch();
  }

  async #sendBatch(): Promise<void> {
    const batch = this.#batch;
    if (batch.length === 0) return;
    this.#batch = [];
    this.#batchBytes = 0;
    await this.#start(this.#pool.run('hash', { files: batch.map(({ path, size }) => ({ path, size })) }).then((results) => {
      results.forEach((result, i) => { this.#compareWithManifest(batch[i]!, result); });
      this.#done(results.length, results.reduce((sum, { size }) => sum + size, 0));
    }));
  }

  #compareWithManifest(listed: ManifestFile, { size, sha256 }: HashedFile): void {
    if (size !== listed.size) this.#error(listed.path, `${size} bytes, the manifest says ${listed.size}`);
    else if (sha256 !== UNREAD && sha256 !== listed.sha256) this.#error(listed.path, 'the SHA-256 is not the one of the manifest');
  }

  #compareRows(listed: ManifestFile, rows: RowCounts): void {
    if (listed.rows === undefined) {
      this.#error(listed.path, 'the manifest has no row counts of it');
      return;
    }
    for (const table of new Set([...rows.keys(), ...Object.keys(listed.rows)])) {
      const [counted, stated] = [rows.get(table) ?? 0, listed.rows[table] ?? 0];
      if (counted !== stated && table !== NO_TABLE) this.#error(listed.path, `${counted} rows, the manifest says ${stated}`, table);
    }
  }

  /** Takes the section out: what is left at the end counts something that is not there. `rows` is undefined for a file that cannot be read. */
  #compareStatistics(section: string, rows: RowCounts | undefined, required: boolean): void {
    const { statistics, statisticsFile } = this.#opened;
    if (statistics === undefined) return;
    const stated = statistics.get(section);
    statistics.delete(section);
    if (stated === undefined) {
      if (required) this.#error(statisticsFile!, `it has no counts of ${section}`);
      return;
    }
    if (rows === undefined) return;
    for (const table of new Set([...rows.keys(), ...stated.keys()])) {
      const [counted, said] = [rows.get(table) ?? 0, stated.get(table) ?? 0];
      if (counted !== said) this.#error(statisticsFile!, `${section} has ${counted} rows, not ${said}`, table === '' ? undefined : table);
    }
  }

  #done(files: number, bytes: number): void {
    this.totals.files += files;
    this.totals.bytes += bytes;
    tellProgress(bytes);
    this.#onFiles(this.totals);
  }

  /** Waits until a worker has room, so that the list of files is read no faster than the files. */
  async #start(work: Promise<void>): Promise<void> {
    const running = work.catch((error: unknown) => { this.#failure ??= { error }; }).finally(() => this.#running.delete(running));
    this.#running.add(running);
    while (this.#running.size >= this.#pool.capacity) await Promise.race(this.#running);
    this.#throwFailure();
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }
}
