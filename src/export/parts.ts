/** The finished parts of a realm's export, looked up on disk: there may be more than memory should hold. */
import type { JournalPart } from '../package/journal.js';

export interface Parts {
  get(path: string): JournalPart | undefined;
  /** The messages files, by number. */
  messages(): Iterable<JournalPart>;
}
