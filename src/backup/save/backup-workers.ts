/** Other machines that make the parts of a backup: the seam between what it consists of and who works for it. */
import type { Snapshot } from '../../snapshot/snapshot.js';
import type { Sealing } from '../contents/sealing.js';
import type { BackupStore } from '../store/backup-store.js';
import type { ListedFile } from '../uploads/upload-source.js';
import type { RowSelection, SavedRows } from './save-rows.js';
import type { SavedPack } from './upload-packs.js';

export interface BackupWorkers {
  /** Pieces that may wait or be under way. */
  readonly backlog: number;
  /** Aborts when they cannot work any more; its reason is the error. */
  readonly lost: AbortSignal;
  /** Calls them: the tables are held. @param schemas that each session needs, see schemasForPlanning */
  begin(snapshot: Snapshot, store: BackupStore, sealing: Sealing, schemas: readonly string[]): Promise<void>;
  /** A part of rows. @param part its name @param weight bytes: the largest goes first @param signal drops it */
  rows(selection: RowSelection, part: string, weight: number, signal: AbortSignal): Promise<SavedRows>;
  /** An archive of uploaded files. @returns undefined where a worker could not have all of them as they were listed */
  archive(files: readonly ListedFile[], part: string, signal: AbortSignal): Promise<SavedPack | undefined>;
  /** The snapshot is needed no more. */
  letGo(): void;
  /** All parts are there. */
  finish(): Promise<void>;
}
