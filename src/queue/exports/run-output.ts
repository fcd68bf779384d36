/** Where a run's files come together, as its coordinator sees it: nothing that workers made is part of the export until it is taken over here, once. */
import type { FinishedPart } from '../../export/segments/finished-part.js';
import type { Segment } from '../../export/segments/segment.js';
import type { Spool } from '../../export/spools/spool-format.js';
import type { FilesTarget } from '../../files/files-target.js';
import type { Journal } from '../../package/journal.js';
import type { Expected } from '../runs/expected.js';
import type { FetchedFile, JobPlaces, MadePart } from './export-jobs.js';

/** Those who take part in the run; `own`: sessions of its own, whose parts stay here; `own first`: these where there are any, and the others where they fail. */
export type DoneBy = 'workers' | 'own' | 'own first';

export interface RunOutput {
  /** What is asked of workers, who see by the probe that they write where the run does. @param run its id */
  announce(run: string): Promise<Pick<Expected, 'output' | 'bucket' | 'probe'>>;
  /** Removes the probe of a run. */
  withdraw(run: string): Promise<void>;
  /** Makes sure that the exports of these names can begin. @throws RealmliftError UPLOAD_EXISTS where there is something that is not to be gone on with */
  begin(names: readonly string[], resume: boolean): Promise<void>;
  /** Who does a segment. @param weight expected bytes */
  doneBy(segment: Segment, weight: number): DoneBy;
  /** @param directory of the unfinished export */
  places(directory: string): Promise<JobPlaces>;
  /** The segment without what an earlier run finished and is not what it was, which is told. */
  checked(segment: Segment, directory: string, onDamaged: (path: string) => void): Promise<Segment>;
  /** Takes over a part. @param attempt its directory's name */
  takePart(made: MadePart, directory: string, attempt: string): Promise<FinishedPart>;
  /** Takes over the spools of a set, which stay where they are. @param attempt its directory's name */
  takeSpools(spools: readonly Spool[], directory: string, attempt: string): Promise<Spool[]>;
  /** Takes over a file of a batch, for who gives it its name. @param index in the batch */
  takeFile(file: FetchedFile, index: number, attempt: string, attempts: string, partial: string): Promise<void>;
  /** Removes what is left of an attempt that was taken over. */
  forget(attempt: string, attempts: string): Promise<void>;
  /** Where the files of an export get their names; undefined where that is its directory. */
  filesTarget(directory: string, resumed: boolean): Promise<FilesTarget> | undefined;
  /**
   * Looks whether all that the run completed is there as it was, where that is not read again.
   * @returns how many objects that are; undefined where all is in the directory
   * @throws RealmliftError STORED_CHANGED
   */
  check(directory: string, journal: Journal): Promise<number | undefined>;
  /** Remembers how far the run has come, now and then. */
  remember(): Promise<void>;
  /** Gives up what nobody will take over any more. */
  close(): Promise<void>;
}
