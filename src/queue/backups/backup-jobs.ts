/** What the jobs of a backup say, and what is said of them when they are done. Names are those of parts, below the backup's directory. */
import type { Part } from '../../backup/contents/backup-contents.js';
import type { RowSelection, SavedRows } from '../../backup/save/save-rows.js';
import type { SavedPack } from '../../backup/save/upload-packs.js';
import type { StagedObject } from '../../backup/store/staging.js';
import type { ListedFile, LostUpload } from '../../backup/uploads/upload-source.js';
import { count, digest, listOf, number, objectOf, optional, text } from '../runs/shape.js';

/** A piece of the rows. */
export interface RowsPartJob {
  readonly selection: RowSelection;
  readonly part: string;
}

export interface RowsPartDone {
  readonly saved: SavedRows;
  readonly staged: StagedObject;
}

/** Files for one archive. */
export interface ArchiveJob {
  readonly files: readonly ListedFile[];
  readonly part: string;
}

export interface ArchiveDone {
  readonly saved: SavedPack;
  readonly staged: StagedObject;
}

/** Jobs as they come out of the queue. */
export const ROWS_PART_JOB = objectOf<RowsPartJob>({ selection: objectOf<RowSelection>({ table: text, select: text, format: text, encoding: optional(text) }), part: text });

export const ARCHIVE_JOB = objectOf<ArchiveJob>({ files: listOf(objectOf<ListedFile>({ name: text, size: count, modified: number })), part: text });

const PART = objectOf<Part>({ name: text, bytes: count, sha256: digest });

const STAGED = objectOf<StagedObject>({
  name: text, size: count, file: optional(text), upload: optional(objectOf<NonNullable<StagedObject['upload']>>({ id: text, parts: listOf(objectOf<{ etag: string; sha256: string }>({ etag: text, sha256: text })) })),
});

export const ROWS_PART_DONE = objectOf<RowsPartDone>({ saved: objectOf<SavedRows>({ rows: count, digest: text, part: PART }), staged: STAGED });

export const ARCHIVE_DONE = objectOf<ArchiveDone>({
  saved: objectOf<SavedPack>({ part: PART, found: objectOf<SavedPack['found']>({ files: count, bytes: count }), lost: listOf(objectOf<LostUpload>({ name: text, reason: text, detail: text })) }), staged: STAGED,
});
