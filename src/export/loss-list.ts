/** What the files stage tells of files that stay or are odd, for the report: where a store has gone there is more of it than memory should hold. */
import { join } from 'node:path';
import type { FileEvent } from '../files/file-events.js';
import { indented } from '../package/assemble.js';
import { EntrySpool } from '../package/entry-spool.js';
import type { PartFile } from '../package/part-file.js';

export class LossList {
  /** Files are pulled many at once: the report names them in an order that does not depend on the moment. */
  readonly #events: EntrySpool<FileEvent>;
  readonly #attachments: EntrySpool<number>;

  /** @param directory of the run, for its own files */
  constructor(directory: string) {
    this.#events = new EntrySpool(join(directory, 'losses'), (a, b) => compare(a.area, b.area) || compare('key' in a ? a.key : '', 'key' in b ? b.key : '') || compare(a.kind, b.kind));
    this.#attachments = new EntrySpool(join(directory, 'lost-attachments'), (a, b) => a - b);
  }

  /** @throws RealmliftError as diskError */
  add(event: FileEvent): void {
    this.#events.add(event);
    if ((event.kind === 'lost' || event.kind === 'skipped') && event.attachmentId !== undefined) this.#attachments.add(Number(event.attachmentId));
  }

  /** Whether attachments have no file: their rows must not travel, on one without a record the import stops, half-way through creating the realm. */
  get hasAttachments(): boolean {
    return this.#attachments.count > 0;
  }

  /** Ids of these attachments, rising. */
  attachments(): Iterator<number, void> {
    return this.#attachments.sorted();
  }

  /** As a member of the indented report. */
  write(file: PartFile): void {
    let first = true;
    for (const event of this.#events.sorted()) {
      file.writeText(`${first ? '[' : ','}\n    ${indented(event).replaceAll('\n', '\n  ')}`);
      first = false;
    }
    file.writeText(first ? '[]' : '\n  ]');
  }
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
