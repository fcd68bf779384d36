/**
 * The rows of a realm on whose server nothing was written since the base: whole files of the base become files of the export, and nobody is
 * asked for what they hold. Only what was made by the same queries is taken; of the rest each table is looked at by itself, see realm-rows.ts.
 */
import { join } from 'node:path';
import { inParallel } from '../in-parallel.js';
import type { JournalPart } from '../package/journal.js';
import { partPath } from '../package/part-paths.js';
import { inodeOf, takeOver } from '../package/take-over.js';
import { queryOf } from '../plan/plan-tables.js';
import { damagedMeanwhile, type Base } from './base/base.js';
import { digestOfQueries } from './earlier-parts.js';
import { queryOfMessages } from './message-segments.js';
import type { RealmProgress } from './realm-progress.js';
import type { RealmRun, RunContext } from './realm-run.js';
import { rowQuery } from './segments/row-query.js';
import { digestOfTableFile, tableFiles } from './table-files.js';

/** Files taken over at once. */
const AT_ONCE = 8;

export class UnchangedRows {
  readonly #source: RunContext['source'];
  readonly #run: RealmRun;
  readonly #base: Base;
  readonly #progress: RealmProgress;
  /** Tables that lie in files which were taken over. */
  readonly #tables: Promise<ReadonlySet<string>>;

  constructor({ source }: Pick<RunContext, 'source'>, run: RealmRun, base: Base, progress: RealmProgress) {
    [this.#source, this.#run, this.#base, this.#progress] = [source, run, base, progress];
    this.#tables = this.#takeTableFiles();
    this.#tables.catch(() => undefined);
  }

  /** Whether the file that holds this table was taken over. */
  async hasTable(name: string): Promise<boolean> {
    return (await this.#tables).has(name);
  }

  /** Takes all messages files, if all are there as they were finished: else none, and each is looked at. */
  async takeMessages(): Promise<boolean> {
    const query = queryOfMessages(this.#run.plan);
    for (const part of this.#base.messagesFiles()) if (part?.query !== query || part.clients === undefined || inodeOf(join(this.#base.directory, part.path)) !== part.inode) return false;
    await inParallel(this.#base.messagesFiles(), AT_ONCE, async (part) => {
      if (part === undefined || !(await this.#take(part))) throw damagedMeanwhile(this.#base.directory);
      this.#progress.finished({ ...part, inode: undefined, base: true }, true);
    });
    return true;
  }

  async #takeTableFiles(): Promise<Set<string>> {
    const { plan } = this.#run;
    const parameters = { ...plan.parameters, message_client_ids: this.#clients() };
    const taken = new Set<string>();
    for (const [file, tables] of tableFiles(plan)) {
      const known = this.#base.rows(file);
      // Rows of attachments stay where their files do not come, which is not known yet.
      if (known?.query === undefined || tables.some(({ dataClass }) => dataClass === 'file')) continue;
      const query = digestOfTableFile(plan, this.#source, file, tables, (table) => digestOfQueries(rowQuery(table, queryOf(table, plan.compiled, parameters))));
      const parts = tables.map(({ name }) => this.#base.rows(partPath(name)));
      if (query !== known.query || parts.includes(undefined) || !(await this.#take(known))) continue;
      for (const part of parts as JournalPart[]) this.#progress.taken({ ...part, base: true });
      this.#progress.takenFile(known);
      for (const { name } of tables) taken.add(name);
    }
    return taken;
  }

  /** That the messages were sent with. */
  #clients(): number[] {
    const clients = new Set<number>();
    for (const part of this.#base.messagesFiles()) for (const id of part?.clients ?? []) clients.add(id);
    return [...clients].sort((a, b) => a - b);
  }

  async #take(part: JournalPart): Promise<boolean> {
    const taken = await takeOver(join(this.#base.directory, part.path), join(this.#run.output.partial, part.path), part);
    if (taken) this.#run.onTaken?.(part);
    return taken;
  }
}
