/** One target of a set: its rows are in the spools; its files are pulled, and all of it is packaged as any other export. */
import { setMaxListeners } from 'node:events';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { FileEvent } from '../../files/file-events.js';
import type { JournalPart } from '../../package/journal.js';
import type { MigrationStatusResult } from '../../package/migration-status.js';
import { PartFile } from '../../package/part-file.js';
import type { FinisherPool } from './finisher-pool.js';
import { LossList } from '../loss-list.js';
import { withoutLostAttachments } from '../lost-attachments.js';
import { queryOfMessages } from '../message-segments.js';
import type { Origin, SetOrigin } from '../base/origin.js';
import { ledgerPath, PARTS_DIRECTORY, partPath } from '../../package/part-paths.js';
import type { Parts } from '../parts.js';
import { pullRealmFiles, wantedOf } from '../realm-files.js';
import { beginRun, concludeRun, type RealmResult, type RealmRun, type RunContext } from '../realm-run.js';
import type { SetRowsResult } from './set-rows.js';
import { spooledRows, type WantedSpools } from './set-wanted.js';
import type { Spool } from '../spools/spool-format.js';
import { writeInOrder } from '../spools/spool-merge.js';
import type { SpoolReader, SpooledGroup } from '../spools/spool-reader.js';
import { Totals } from '../totals.js';

/** What the targets of a set share. */
export interface SetOfTargets {
  readonly context: RunContext;
  readonly rows: SetRowsResult;
  readonly wanted: WantedSpools;
  readonly reader: SpoolReader;
  readonly status: MigrationStatusResult | undefined;
  readonly finishers: FinisherPool;
  readonly origin: SetOrigin;
  /** Rows of messages were copied as no export of one realm does: what they point to is gone somewhere in the set. */
  readonly closed: boolean;
}

/** Exports into `run.output.partial`; the caller verifies, flushes and publishes. @param ordinal of the target in the set */
export async function exportSetTarget(set: SetOfTargets, ordinal: number, run: RealmRun): Promise<{ result: RealmResult; origin: Origin }> {
  const { context, status } = set;
  const losses = new LossList(run.output.run);
  const identity = beginRun(context, run, []);
  const signal = AbortSignal.any([context.snapshot.lost]);
  setMaxListeners(0, signal);
  const told = { event: (event: FileEvent) => context.onEvent({ target: run.target, kind: 'file', event }), loss: (event: FileEvent) => losses.add(event), whole: () => Promise.resolve(), damaged: () => undefined };
  const wanted = await wantedOf(context, run, spooledRows(set.wanted, ordinal), told);
  const files = await pullRealmFiles(context, run, wanted, signal, told);
  context.onEvent({ target: run.target, kind: 'packaging' });
  const parts = new SetParts(set, ordinal, run);
  if (losses.hasAttachments) await parts.leaveOutLost(losses);
  await parts.writeMessages();
  const totals = new Totals(run.plan);
  for (const [path, part] of parts.all()) totals.add({ ...part, path });
  const result = await concludeRun(context, run, { parts, totals, files, losses, status, warnings: status?.warnings ?? [] });
  const { snapshot: { id, takenAt } } = context;
  const { receivers, ...server } = set.origin;
  return { result, origin: { format: 1, run: identity, snapshot: { id, takenAt }, query: queryOfMessages(run.plan), ...server, receivers: receivers.get(run.plan.request.realm.id) ?? [] } };
}

class SetParts implements Parts {
  readonly #set: SetOfTargets;
  readonly #ordinal: number;
  readonly #run: RealmRun;
  /** Path of a part -> name of its table or view. */
  readonly #spooled: ReadonlyMap<string, string>;
  readonly #messages: JournalPart[] = [];
  /** Parts that are files of the target's own directory. */
  readonly #own = new Map<string, JournalPart>();

  constructor(set: SetOfTargets, ordinal: number, run: RealmRun) {
    this.#set = set;
    this.#ordinal = ordinal;
    this.#run = run;
    const { tables, compiled } = run.plan;
    this.#spooled = new Map([
      ...tables.filter(({ file }) => file !== 'messages').map(({ name }): [string, string] => [partPath(name), name]),
      ...compiled.ledger.map(({ name }): [string, string] => [ledgerPath(name), name]),
    ]);
  }

  get(path: string): JournalPart | undefined {
    const name = this.#spooled.get(path);
    return this.#own.get(path) ?? (name === undefined ? this.#run.journal.get(path) : this.#partOf(path, name));
  }

  copy(path: string, file: PartFile): Promise<void> | void {
    const own = this.#own.get(path);
    if (own !== undefined) return file.append(join(this.#run.output.partial, own.path));
    file.writeText('[');
    writeInOrder(this.#set.reader, this.#groups(path), (bytes) => file.write(bytes));
    file.writeText(']');
  }

  messages(): Iterable<JournalPart> {
    return this.#messages;
  }

  /** Parts of tables and messages files. */
  * all(): Generator<[path: string, part: JournalPart]> {
    for (const part of this.#messages) yield [part.path, part];
    for (const [path, name] of this.#spooled) yield [path, this.#own.get(path) ?? this.#partOf(path, name)];
  }

  /** The rows of attachments without a file stay, which was not known when they were copied. */
  async leaveOutLost(losses: LossList): Promise<void> {
    const { plan, output } = this.#run;
    const path = partPath('zerver_attachment');
    mkdirSync(join(output.partial, PARTS_DIRECTORY), { recursive: true, mode: 0o700 });
    const file = new PartFile(join(output.partial, path));
    await this.copy(path, file);
    const copied = { ...this.#partOf(path, 'zerver_attachment'), ...(await file.finish(false)) };
    for (const [at, part] of await withoutLostAttachments(output.partial, plan, copied, losses.attachments())) this.#own.set(at, part);
  }

  async writeMessages(): Promise<void> {
    const { finishers, rows: { files: { first } } } = this.#set;
    const { output, journal } = this.#run;
    const written = await finishers.run('messages', { ordinal: this.#ordinal, first: first[this.#ordinal] as number, directory: output.partial });
    const query = this.#set.closed ? undefined : queryOfMessages(this.#run.plan);
    for (const each of written) {
      const part = { ...each, query };
      this.#messages.push(part);
      this.#own.set(part.path, part);
      journal.append('part', part);
    }
  }

  #partOf(path: string, name: string): JournalPart {
    const found = this.#groups(path);
    const sum = (of: (group: SpooledGroup) => number): number => found.reduce((total, group) => total + of(group), 0);
    return { path, size: 2 + Math.max(0, found.length - 1) + sum(({ bytes }) => bytes), sha256: '', rows: { [name]: sum(({ rows }) => rows) } };
  }

  #groups(path: string): SpooledGroup[] {
    return (this.#set.rows.spools.get(path) ?? []).map((spool: Spool) => this.#set.reader.find(spool, this.#ordinal)).filter((found) => found !== undefined);
  }
}
