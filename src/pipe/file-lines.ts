/**
 * The files of an export as lines, each with its entry of records.json: both lists are sorted by path, so they are read side by
 * side. With a files directory each file is put there first, so that a reader of the line finds it.
 */
import { join } from 'node:path';
import { RealmliftError } from '../errors.js';
import { areaOf, AREAS, recordsOf } from '../package/export-files.js';
import { BARE } from '../json/each-table.js';
import { RowFields } from '../json/row-fields.js';
import { comparePaths } from '../package/manifest.js';
import type { ListedExport } from './finished-export.js';
import { placeFile } from './place-file.js';
import { TableFile, changed } from './table-file.js';

export interface FileLine {
  /** uploads, avatars, emoji or realm_icons. */
  readonly file: string;
  /** Below the files directory, and below the export. */
  readonly path: string;
  readonly sha256: string;
  readonly size: number;
  /** The file's entry in the records.json of its area. */
  readonly record: unknown;
}

/**
 * @param filesDirectory where the files are put (linked, or copied where that cannot be); undefined names them only
 * @throws RealmliftError EXPORT_CHANGED, FILE_IN_THE_WAY
 */
export async function* fileLines(source: ListedExport, filesDirectory: string | undefined): AsyncGenerator<FileLine> {
  const files = source.areaFiles();
  let entry = await files.next();
  for (const area of [...AREAS].sort()) {
    const listed = source.records.get(area);
    const records = listed === undefined ? undefined : TableFile.open(join(source.directory, listed.path), listed);
    try {
      const rows = recordRows(records);
      let record = rows.next();
      for (; entry.done !== true && areaOf(entry.value.path) === area; entry = await files.next()) {
        const { path, size, sha256 } = entry.value;
        const described = record.done !== true && `${area}/${record.value.path}` === path;
        if (record.done !== true && !described && comparePaths(`${area}/${record.value.path}`, path) < 0) throw changed(recordsOf(area), 'it has a record whose file is missing');
        if (filesDirectory !== undefined) await placeFile(join(source.directory, path), filesDirectory, path, entry.value, 'link');
        yield { file: area, path, sha256, size, record: described ? record.value : null };
        if (described) record = rows.next();
      }
      if (record.done !== true) throw changed(recordsOf(area), 'it has a record whose file is missing');
    } finally {
      records?.close();
    }
  }
}

interface FileRecord {
  readonly path: string;
}

/** By path. Those of an export of Zulip 4 itself are in no order, and are sorted in memory. */
function* recordRows(records: TableFile | undefined): Generator<FileRecord, void> {
  if (records === undefined) return;
  yield* isSorted(records) ? parsedRecords(records) : [...parsedRecords(records)].sort((a, b) => comparePaths(a.path, b.path));
}

function isSorted(records: TableFile): boolean {
  const fields = new RowFields();
  let last = '';
  for (const row of records.rows(BARE)) {
    const path = fields.split(row).textOf('path') ?? '';
    if (comparePaths(last, path) > 0) return false;
    last = path;
  }
  return true;
}

function* parsedRecords(records: TableFile): Generator<FileRecord, void> {
  for (const row of records.rows(BARE)) {
    const record = JSON.parse(row.toString('utf8')) as { path?: unknown };
    if (typeof record.path !== 'string') throw new RealmliftError('JSON_DAMAGED', 'verify', 'a record of records.json has no path');
    yield record as FileRecord;
  }
}
