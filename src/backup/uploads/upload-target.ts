/** Where restored files go. */
import type { ArchivedFile, Visit } from './upload-archive.js';

export interface UploadTarget {
  readonly kind: 'directory' | 'buckets';
  readonly description: string;
  isEmpty(): Promise<boolean>;
  /** Stores a file under its name, replacing one that an earlier attempt left. */
  put(file: ArchivedFile, content: Parameters<Visit>[1]): Promise<void>;
  /** The note of an unfinished restore; undefined when there is none. */
  readNote(): Promise<string | undefined>;
  /** Writes the note, or removes it. */
  writeNote(note: string | undefined): Promise<void>;
}
