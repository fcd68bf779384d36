/** The finished parts of a realm's export, looked up on disk: there may be more than memory should hold. */
import type { JournalPart } from '../package/journal.js';
import type { PartFile } from '../package/part-file.js';

export interface Parts {
  get(path: string): JournalPart | undefined;
  /** Writes the rows of a table, or of a view of the ledger, with their brackets. */
  copy(path: string, file: PartFile): Promise<void> | void;
  /** The messages files, by number. */
  messages(): Iterable<JournalPart>;
}
