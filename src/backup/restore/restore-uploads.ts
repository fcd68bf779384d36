/**
 * Uploaded files out of a backup, into an empty uploads directory or two empty buckets.
 *
 * Which archives are done is noted at the target itself, as a restore of the database does: a target with files and without such a
 * note is somebody else's, and refused.
 */
import { RealmliftError } from '../../errors.js';
import { inParallel } from '../../in-parallel.js';
import { Mutex } from '../../mutex.js';
import { tellPhase, tellProgress } from '../../narration.js';
import { partNamed, totalFiles } from '../contents/backup-contents.js';
import type { OpenBackup } from '../contents/find-backup.js';
import { openPart } from '../contents/sealing.js';
import { visitArchive } from '../uploads/upload-archive.js';
import type { UploadTarget } from '../uploads/upload-target.js';

/** The step's name. */
export const RESTORED_FILES = 'restored files';

interface Note {
  readonly warning: string;
  readonly backup: string;
  readonly done: readonly string[];
}

export interface RestoredUploads {
  readonly files: number;
}

/** @throws RealmliftError NO_FILES, UPLOADS_KIND, UPLOADS_NOT_EMPTY, BACKUP_DAMAGED */
export async function restoreUploads({ contents, store, open }: OpenBackup, target: UploadTarget, jobs: number, stop: AbortSignal): Promise<RestoredUploads> {
  const { files } = contents;
  if (files === undefined) throw new RealmliftError('NO_FILES', 'restore', 'the backup holds no uploaded files', { hint: 'it was taken without --uploads' });
  if (files.kind !== target.kind) {
    const [there, here] = files.kind === 'directory' ? ['a local uploads directory', 'buckets'] : ['buckets', 'a local uploads directory'];
    throw new RealmliftError('UPLOADS_KIND', 'restore', `the files were saved from ${there} and cannot go into ${here}`, { hint: 'Zulip lays the two out differently; its transfer-uploads-to-s3 moves files to S3' });
  }
  const done = await begin(target, contents.id);
  tellPhase(RESTORED_FILES, 'files', totalFiles(contents));
  const note = (): Promise<void> => target.writeNote(noteOf(contents.id, done));
  const notes = new Mutex();
  await inParallel(files.parts.filter(({ part }) => !done.has(part)), jobs, async (saved, signal) => {
    await openPart(store, partNamed(contents, saved.part), open, signal, (plain) => visitArchive(plain, saved, async (file, content) => {
      await target.put(file, content);
      tellProgress(1, file.size);
    }));
    done.add(saved.part);
    // Each note holds what those before it held.
    await notes.run(note);
  }, stop);
  await target.writeNote(undefined);
  return { files: totalFiles(contents) };
}

/** Parts that an earlier run has done. */
async function begin(target: UploadTarget, backup: string): Promise<Set<string>> {
  const text = await target.readNote();
  if (text === undefined) {
    if (!(await target.isEmpty())) throw new RealmliftError('UPLOADS_NOT_EMPTY', 'restore', `${target.description} is not empty`, { hint: 'restore into an empty place' });
    await target.writeNote(noteOf(backup, new Set()));
    return new Set();
  }
  const note = JSON.parse(text) as Note;
  if (note.backup !== backup) throw new RealmliftError('RESTORE_OF_ANOTHER', 'restore', `${target.description} holds an unfinished restore of another backup`, { hint: 'finish that one, or empty the place' });
  return new Set(note.done);
}

function noteOf(backup: string, done: ReadonlySet<string>): string {
  return JSON.stringify({ warning: 'These files are being restored by realmlift and are not complete. Run the restore again to finish it.', backup, done: [...done] } satisfies Note);
}
