/** What is finished of a realm's export: counted, journalled, sent on where the export is a stream, and told. */
import { join } from 'node:path';
import type { FileEvent } from '../files/file-events.js';
import type { JournalPart } from '../package/journal.js';
import type { CatchUpPart } from './base/catch-up-file.js';
import type { TargetEvent } from './events.js';
import type { RunBase } from './catch-up/run-base.js';
import { LossList } from './loss-list.js';
import type { ArchiveOutlet } from './outlet.js';
import { isMessagesPath, messagesPath } from '../package/export-files.js';
import type { Parts } from './parts.js';
import type { Told } from './realm-files.js';
import type { RealmRun, RunContext } from './realm-run.js';
import type { BaseReport } from './report.js';
import { Totals } from './totals.js';

export class RealmProgress implements Told {
  readonly totals: Totals;
  readonly losses: LossList;
  readonly warnings: string[] = [];
  /** That exported messages were sent with. */
  readonly clients = new Set<number>();
  readonly #context: Pick<RunContext, 'onEvent'>;
  readonly #run: RealmRun;
  readonly #outlet: ArchiveOutlet | undefined;
  readonly #onFailure: (error: unknown) => void;
  #messagesFiles = 0;
  #filesOfBase = 0;
  /** Messages files on their way out. */
  readonly #leaving: Promise<void>[] = [];
  /** Parts that lie in files of several tables, or are the text itself: they have no file, and the journal does not know them. */
  readonly #taken = new Map<string, CatchUpPart>();
  readonly #takenFiles = new Map<string, JournalPart>();
  /** In place of parts that the journal knows. */
  #replaced: ReadonlyMap<string, JournalPart> = new Map();

  /**
   * @param outlet takes finished files as they come, where the export is a stream
   * @param onFailure told what goes wrong where nobody waits
   */
  constructor(context: Pick<RunContext, 'onEvent'>, run: RealmRun, outlet: ArchiveOutlet | undefined, onFailure: (error: unknown) => void) {
    this.#context = context;
    this.#run = run;
    this.#outlet = outlet;
    this.#onFailure = onFailure;
    this.totals = new Totals(run.plan);
    this.losses = new LossList(run.output.run);
  }

  tell(event: TargetEvent): void {
    this.#context.onEvent({ target: this.#run.target, ...event });
  }

  warn(text: string): void {
    this.warnings.push(text);
    this.tell({ kind: 'warning', text });
  }

  /** How many messages files there will be. */
  planned(messages: number, messageFiles: number): void {
    this.#messagesFiles = messageFiles;
    this.tell({ kind: 'planned', messages, messageFiles });
  }

  /** A part is there, of the earlier run if `kept`. */
  finished(part: JournalPart, kept: boolean): void {
    this.totals.add(part);
    for (const client of part.clients ?? []) this.clients.add(client);
    try {
      this.#run.journal.append('part', part);
    } catch (error) {
      // It comes out of a thread's message, which nobody awaits.
      this.#onFailure(error);
    }
    if (isMessagesPath(part.path)) {
      // Of an earlier run too, which may have been killed before. What a base has was on the disk when it was published.
      if (part.base !== true) this.#run.flushing?.add(join(this.#run.output.partial, part.path));
      this.#leaving.push(this.whole(part.path));
    }
    this.tell({ kind: 'part', part, dataClass: this.totals.classOfPart(part.path), kept });
  }

  /** A part came with a file of several tables, or is no more than its text. */
  taken(part: CatchUpPart): void {
    this.totals.add(part);
    this.#taken.set(part.path, part);
    this.tell({ kind: 'part', part, dataClass: this.totals.classOfPart(part.path), kept: true });
  }

  /** A file of several tables was taken over from the base, with all of its parts. */
  takenFile(file: JournalPart): void {
    this.#takenFiles.set(file.path, file);
  }

  get takenFiles(): ReadonlyMap<string, JournalPart> {
    return this.#takenFiles;
  }

  get takenParts(): Iterable<CatchUpPart> {
    return this.#taken.values();
  }

  /** The file that Zulip writes even where there is no message. */
  finishedOnly(messagesFile: JournalPart): void {
    this.#messagesFiles = 1;
    this.finished(messagesFile, false);
  }

  damaged(path: string): void {
    this.tell({ kind: 'warning', text: `${path} is not what the earlier run finished: it is made again` });
  }

  event(event: FileEvent): void {
    if (event.kind === 'file' && event.base === true) this.#filesOfBase += 1;
    this.tell({ kind: 'file', event });
  }

  loss(event: FileEvent): void {
    this.losses.add(event);
  }

  /** A file that has left with a stream is not needed here any more. */
  whole(path: string): Promise<void> {
    const left = this.#outlet?.send(path) ?? Promise.resolve();
    left.catch(this.#onFailure);
    return left;
  }

  /** Waits for the messages files that are on their way out. */
  async left(): Promise<void> {
    await Promise.all(this.#leaving.splice(0));
  }

  /** @param replaced by the path of a part that which takes its place */
  replace(replaced: ReadonlyMap<string, JournalPart>): void {
    for (const [path, part] of replaced) this.totals.replace(this.#run.journal.get(path), part, path);
    this.#replaced = replaced;
  }

  parts(): Parts {
    const { journal, output } = this.#run;
    const count = this.#messagesFiles;
    const get = (path: string): JournalPart | undefined => this.#replaced.get(path) ?? this.#taken.get(path) ?? journal.get(path);
    return {
      get,
      copy: (path, file) => {
        const part = get(path);
        const content = part === undefined ? undefined : this.#taken.get(part.path)?.content;
        return content === undefined ? file.append(join(output.partial, part?.path ?? path)) : file.writeText(content);
      },
      *messages() {
        for (let number = 1; number <= count; number++) yield journal.get(messagesPath(number)) as JournalPart;
      },
    };
  }

  /** What was taken over of `base`. */
  baseReport({ base, unchanged, compared }: RunBase, parts: Parts): BaseReport {
    let [messagesFiles, mended] = [0, 0];
    for (const part of parts.messages()) {
      if (part.base === true) messagesFiles += 1;
      if (part.mended === true) mended += 1;
    }
    return { name: base.name, unchanged, compared, messagesFiles, mended, files: this.#filesOfBase };
  }
}
