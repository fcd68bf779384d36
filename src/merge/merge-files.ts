/**
 * The files of several exports: united by path. Manifests and records.json are sorted by path, so they are read side by side
 * and nothing is held of them but the present entries. Every file is copied and held to its SHA-256.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { RecordsFile } from '../files/records.js';
import { areaOf, AREAS, recordsOf, type Area } from '../package/export-files.js';
import { tellProgress } from '../narration.js';
import { comparePaths, type ManifestFile } from '../package/manifest.js';
import { placeFile } from '../pipe/place-file.js';
import { RowFields } from '../json/row-fields.js';
import { BARE } from '../json/each-table.js';
import { TableFile, changed } from '../pipe/table-file.js';
import type { MergeInput } from './merge-input.js';
import type { MergeContext } from './merge-tables.js';

/** Records written, by area. */
export type RecordCounts = Map<Area, number>;

/** Copies the files of all areas; their entries for the manifest, in its order. */
export async function* mergeFiles(context: MergeContext, counts: RecordCounts): AsyncGenerator<ManifestFile> {
  for (const area of [...AREAS].sort()) {
    if (!context.inputs.some(({ source }) => source.records.has(area))) continue;
    yield* mergeArea(context, area, counts);
  }
}

async function* mergeArea({ inputs, directory, differences }: MergeContext, area: Area, counts: RecordCounts): AsyncGenerator<ManifestFile> {
  await mkdir(join(directory, area), { recursive: true, mode: 0o700 });
  const records = new RecordsFile(directory, area);
  const streams = inputs.map((input) => new AreaStream(input, area));
  try {
    for (const stream of streams) await stream.advance();
    for (;;) {
      const path = streams.map(({ entry }) => entry?.path).filter((each) => each !== undefined).sort(comparePaths)[0];
      if (path === undefined) break;
      const having = streams.filter(({ entry }) => entry?.path === path);
      const latest = having.at(-1) as AreaStream;
      const entry = latest.entry as ManifestFile;
      for (const other of having) if (other.entry?.sha256 !== entry.sha256) differences.file(path, latest.input.index, other.input.index);
      if (latest.record !== undefined) records.write(latest.record);
      await placeFile(join(latest.input.source.directory, path), directory, path, entry, 'copy');
      tellProgress(1, entry.size);
      yield entry;
      for (const stream of having) await stream.advance();
    }
    counts.set(area, await records.finish());
  } finally {
    records.abandon();
    for (const stream of streams) stream.close();
  }
}

/** The files of one area of one export, each with its record. */
class AreaStream {
  readonly input: MergeInput;
  entry: ManifestFile | undefined;
  /** Bytes of the present file's record; undefined when it has none. */
  record: Buffer | undefined;
  readonly #area: Area;
  readonly #files: AsyncGenerator<ManifestFile>;
  readonly #records: TableFile | undefined;
  readonly #rows: Iterator<Buffer, void>;
  readonly #fields = new RowFields();
  #nextRecord: Buffer | undefined;

  constructor(input: MergeInput, area: Area) {
    const { directory, records } = input.source;
    const listed = records.get(area);
    this.input = input;
    this.#area = area;
    this.#files = input.source.areaFiles();
    this.#records = listed === undefined ? undefined : TableFile.open(join(directory, listed.path), listed);
    this.#rows = this.#records?.rows(BARE) ?? [][Symbol.iterator]();
    this.#readRecord();
  }

  async advance(): Promise<void> {
    let next = await this.#files.next();
    while (next.done !== true && areaOf(next.value.path) !== this.#area) next = await this.#files.next();
    this.entry = next.done === true ? undefined : next.value;
    if (this.record !== undefined) this.#readRecord();
    const path = this.#nextRecord === undefined ? undefined : `${this.#area}/${this.#fields.textOf('path') ?? ''}`;
    this.record = path === this.entry?.path ? this.#nextRecord : undefined;
    if (path !== undefined && (this.entry === undefined || comparePaths(path, this.entry.path) < 0)) {
      throw changed(recordsOf(this.#area), 'it has a record whose file is missing');
    }
  }

  close(): void {
    this.#records?.close();
  }

  #readRecord(): void {
    const next = this.#rows.next();
    this.#nextRecord = next.done === true ? undefined : this.#fields.split(next.value).row;
  }
}
