/** What the jobs of a backup say, and what is said of them when they are done. Names are those of parts, below the backup's directory. */
import type { RowSelection, SavedRows } from '../../backup/save/save-rows.js';
import type { SavedPack } from '../../backup/save/upload-packs.js';
import type { StagedObject } from '../../backup/store/staging.js';
import type { ListedFile } from '../../backup/uploads/upload-source.js';

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
