/** The base of an export (`--base`): an earlier, finished one of the same realm, whose files are taken over as far as they still hold. */
import { accessSync, closeSync, constants, existsSync, openSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { EXIT, RealmliftError } from '../../errors.js';
import { parseLine } from '../../package/journal-lines.js';
import type { JournalPart } from '../../package/journal.js';
import { MANIFEST } from '../../package/manifest.js';
import { RUN_DIRECTORY } from '../../package/output-directory.js';
import { digestOf } from '../../package/part-file.js';
import { PathIndex } from '../../package/path-index.js';
import { MESSAGES_PER_FILE } from '../../plan/message-files.js';
import { CATCH_UP } from '../../package/side-files.js';
import type { CheckedBefore, CheckedFile } from '../../verify/checked-files.js';
import { readCatchUp, type CatchUp, type CatchUpPart } from './catch-up-file.js';
import type { VerifiedBefore } from '../../verify/same-files.js';
import type { Origin } from './origin.js';
import { isMessagesPath, messagesPath } from '../../package/export-files.js';
import { differences, type RunIdentity } from './run-identity.js';

/** What manifest and report say of the base. */
export interface BaseName {
  readonly taken_at: string;
  readonly snapshot: string;
  readonly manifest_sha256: string;
}

/** What may differ: whose rows travel is asked of the server for each file, and other files are pulled. */
const MAY_DIFFER = new Set(['approved_users', 'files', 'consent_message', 'avatars', 'orphans']);

/** Where a base lies. */
export interface BasePlace {
  readonly directory: string;
  /** In messages. */
  readonly shownAs: string;
  /** Whether the files that it pulled are there too. */
  readonly hasFiles: boolean;
}

/** What a messages file holds, as far as it is known. */
interface MessagesOfFile {
  readonly until?: number | undefined;
  readonly messages?: number | undefined;
  readonly ids?: string | undefined;
}

export class Base {
  readonly directory: string;
  readonly #place: BasePlace;
  readonly origin: Origin;
  readonly name: BaseName;
  /** What verify found of its messages files; undefined where it was not verified. */
  readonly checked: CheckedBefore | undefined;
  /** What verify said of the whole; undefined where it was not verified, or lies elsewhere. */
  readonly verified: VerifiedBefore | undefined;
  readonly #file: number;
  readonly #index: PathIndex;
  /** Messages files. */
  readonly #messages: number;

  private constructor(place: BasePlace, { origin, manifest, by, verified }: CatchUp, index: PathIndex, messages: number) {
    const { directory } = place;
    [this.#place, this.directory, this.origin, this.#index, this.#messages] = [place, directory, origin, index, messages];
    this.checked = by && { by, find: (sha256) => this.#read<CheckedFile>(checkedKey(sha256), (file) => file.sha256 === sha256) };
    this.verified = verified && place.hasFiles ? { directory, report: verified } : undefined;
    this.name = { taken_at: origin.snapshot.takenAt, snapshot: origin.snapshot.id, manifest_sha256: manifest };
    this.#file = openSync(join(directory, CATCH_UP), 'r');
  }

  /**
   * Runs `work` with the base.
   *
   * @param place of a finished export; undefined where there is no base
   * @param scratch a directory of the run
   * @throws RealmliftError BASE_UNFIT, BASE_DAMAGED
   */
  static async with<T>(place: BasePlace | undefined, scratch: string, work: (base: Base | undefined) => Promise<T>): Promise<T> {
    if (place === undefined) return work(undefined);
    const { directory, shownAs } = place;
    refuseUnfinished(directory);
    const index = new PathIndex(join(scratch, 'base-index'));
    try {
      let messages = 0;
      const read = await readCatchUp(join(directory, CATCH_UP), (line, at) => {
        if ('path' in line && isMessagesPath(line.path)) {
          messages += 1;
          index.set(line.path, at);
        }
        index.set('path' in line ? keyOf(line) : checkedKey(line.sha256), at);
      });
      if (read === undefined) throw damaged(shownAs, `its ${CATCH_UP} is damaged or cut`);
      if ((await digestOf(join(directory, MANIFEST))).sha256 !== read.manifest) throw damaged(shownAs, `its ${MANIFEST} is not the one that ${CATCH_UP} was written for`);
      const base = new Base(place, read, index, messages);
      try {
        return await work(base);
      } finally {
        closeSync(base.#file);
      }
    } finally {
      index.close();
    }
  }

  /** The messages file that ends with this message. */
  messages(until: number): JournalPart | undefined {
    return this.#read<JournalPart>(messagesKey(until), (part) => part.until === until);
  }

  /** How many of its messages files come first among these as they are, and whether there are no more in either. @param files in order, with how many messages they hold, or the digest of their ids */
  async sharedMessages(files: AsyncIterable<MessagesOfFile> | Iterable<MessagesOfFile>): Promise<{ readonly files: number; readonly all: boolean }> {
    let shared = 0;
    for await (const { until, messages, ids } of files) {
      const part = until === undefined ? undefined : this.messages(until);
      if (part?.path !== messagesPath(shared + 1) || (messages ?? part.rows?.zerver_message) !== part.rows?.zerver_message || (messages === undefined && (ids === undefined || ids !== part.ids))) return { files: shared, all: false };
      shared += 1;
    }
    return { files: shared, all: shared === this.#messages };
  }

  /** @param shared see sharedMessages */
  hasAllButLast(shared: number): boolean {
    return this.#messages > 0 && shared >= this.#messages - 1;
  }

  /** How many messages it has. */
  get messageCount(): number {
    return this.#messages === 0 ? 0 : (this.#messages - 1) * MESSAGES_PER_FILE + (this.lastMessages()?.rows?.zerver_message ?? 0);
  }

  /** The last of its messages files, to which more may come. */
  lastMessages(): JournalPart | undefined {
    return this.#part(messagesPath(this.#messages));
  }

  /** Its messages files in their order; of one that it does not know nothing. */
  * messagesFiles(): Generator<JournalPart | undefined> {
    for (let number = 1; number <= this.#messages; number++) yield this.#part(messagesPath(number));
  }

  /** The rows of a table, or of a view of the ledger: those of a table are in a file of several tables, see takeRows. */
  rows(path: string): CatchUpPart | undefined {
    return this.#part(path);
  }

  /** The pulled file at this path of the export. */
  file(path: string): JournalPart | undefined {
    return this.#place.hasFiles ? this.#part(path) : undefined;
  }

  /** @throws RealmliftError BASE_OF_ANOTHER naming what differs */
  refuseAnother(run: RunIdentity): void {
    const told = differences(this.origin.run, run, (name) => MAY_DIFFER.has(name));
    if (told === undefined) return;
    throw new RealmliftError('BASE_OF_ANOTHER', 'package', `${this.#place.shownAs} is no base for this export: ${told}`, {
      hint: 'the base must be of the same realm, server and mode, by the same version; leave out --base for a whole export', exit: EXIT.nothingExported,
    });
  }

  #part(path: string): CatchUpPart | undefined {
    return this.#read<CatchUpPart>(path, (part) => part.path === path);
  }

  #read<T>(key: string, fits: (line: T) => boolean): T | undefined {
    const place = this.#index.get(key);
    if (place === undefined) return undefined;
    const line = Buffer.allocUnsafe(place.length);
    readSync(this.#file, line, 0, place.length, place.offset);
    const read = parseLine<T>(line.toString());
    return read !== undefined && fits(read) ? read : undefined;
  }
}

function keyOf({ path, until }: JournalPart): string {
  return isMessagesPath(path) ? messagesKey(until ?? NaN) : path;
}

function checkedKey(sha256: string): string {
  return `checked ${sha256}`;
}

function messagesKey(until: number): string {
  return `messages until ${until}`;
}

function refuseUnfinished(directory: string): void {
  // Of a FIFO the end never comes, and a directory has no bytes.
  const has = (name: string): boolean => statSync(join(directory, name), { throwIfNoEntry: false })?.isFile() === true;
  if (existsSync(join(directory, RUN_DIRECTORY))) throw new RealmliftError('BASE_UNFIT', 'package', `${directory} is an export that stopped half-way`, { hint: 'finish it with --resume first, or leave out --base', exit: EXIT.nothingExported });
  // Of what nobody may look into it is not known.
  if (!has(MANIFEST) && existsSync(directory)) accessSync(directory, constants.X_OK);
  if (!has(MANIFEST)) throw new RealmliftError('BASE_UNFIT', 'package', `${directory} is no finished export: it has no ${MANIFEST}`, { hint: 'name the directory of one, such as out/acme', exit: EXIT.nothingExported });
  if (!has(CATCH_UP)) {
    throw new RealmliftError('BASE_UNFIT', 'package', `${directory} has no ${CATCH_UP}`, { hint: 'a base is an export of a realm with the ids that it has on the server, in a directory; make one, or leave out --base', exit: EXIT.nothingExported });
  }
}

/** A file of it that was there a moment ago is another now. */
export function damagedMeanwhile(directory: string): RealmliftError {
  return damaged(directory, 'its files were changed while they were taken over');
}

function damaged(directory: string, why: string): RealmliftError {
  return new RealmliftError('BASE_DAMAGED', 'package', `${directory} cannot be believed: ${why}`, { hint: 'restore it from where it was copied, or leave out --base', exit: EXIT.nothingExported });
}
