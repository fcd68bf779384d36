/**
 * Many full exports at once. The unit of work is a table over the targets: rows of all of them are copied first, each table read once, then
 * target after target is put together from what was dealt out to it, verified and published.
 */
import { randomBytes } from 'node:crypto';
import { isOfRows } from '../../copy/copy-error.js';
import { asRealmliftError, RealmliftError } from '../../errors.js';
import { inParallel } from '../../in-parallel.js';
import { flushTogether } from '../../package/flush-together.js';
import { Journal } from '../../package/journal.js';
import type { MigrationStatusResult } from '../../package/migration-status.js';
import { takeOutputDirectory, type Leftovers, type OutputDirectory } from '../../package/output-directory.js';
import { ownerFile } from '../../package/run-lock.js';
import { withWorkspace } from '../../package/workspace.js';
import type { CompiledView, Decisions } from '../../plan/views/compile-view.js';
import { planExport, type ExportPlan } from '../../plan/plan-export.js';
import { planSet } from '../../plan/plan-set.js';
import type { Realm } from '../../plan/realm.js';
import { useSchema } from '../../plan/search-path.js';
import type { Target } from '../../plan/targets.js';
import { withLoan } from '../../snapshot/snapshot.js';
import type { Place } from '../outcome.js';
import type { VerifyReport } from '../../verify/verify-export.js';
import { checkBeforehand } from '../check-beforehand.js';
import { writeCatchUp } from '../base/catch-up-file.js';
import { closeSet } from '../references/close-references.js';
import { RowFault } from '../segments/dealer.js';
import { FinisherPool } from './finisher-pool.js';
import { tablesByClass, type RealmResult, type RunContext } from '../realm-run.js';
import { MESSAGE_TABLES, readSetOrigin } from '../base/origin.js';
import { SetRows } from './set-rows.js';
import { exportSetTarget, type SetOfTargets } from './set-target.js';
import { botRows, spoolsWanted } from './set-wanted.js';
import { SpoolReader } from '../spools/spool-reader.js';
import { withoutFaulty } from './without-faulty.js';

/** Targets that are put together at once: while one waits for its files, another is verified. */
const AT_ONCE = 4;
/** Targets that are flushed to the disk and published together: whoever makes files meanwhile waits for the file system. */
const PUBLISHED_AT_ONCE = 256;
/** Bytes of JSON from which on fewer are, so that the disk is at work all the time. */
const BYTES_AT_ONCE = 256 * 1024 * 1024;

export interface SetExportOptions {
  readonly output: string;
  readonly leftovers: Leftovers;
  readonly decisions: Decisions;
  readonly seed: string | undefined;
  readonly verify: boolean;
  /** The choices that shape the exports, for their manifests. */
  readonly choices: Readonly<Record<string, unknown>>;
  /** Where the export of that directory will be for who reads its page, if not there. */
  readonly placeOf: ((directory: string) => Place) | undefined;
  /** Told when the database is not needed any more. */
  readonly onCopied: () => void;
}

export interface SetResult extends RealmResult {
  readonly directory: string;
  readonly verified: VerifyReport | undefined;
}

export type SetOutcome = { readonly target: Target; readonly result: SetResult } | { readonly target: Target; readonly error: RealmliftError };

interface Taken {
  readonly target: Target;
  readonly output: OutputDirectory;
}

interface Whole {
  readonly taken: Taken;
  readonly result: SetResult;
}

/**
 * @param targets realms that canJoinSet
 * @returns the outcome of each, in the same order
 * @throws RealmliftError what ends the run for all of them
 */
export async function exportSet(context: RunContext, targets: readonly Target[], options: SetExportOptions): Promise<SetOutcome[]> {
  return new SetExport(context, options).run(targets);
}

class SetExport {
  readonly #context: RunContext;
  readonly #options: SetExportOptions;
  readonly #outcomes = new Map<Target, SetOutcome>();
  #first: Promise<ExportPlan> | undefined;
  /** The disk has no room: the targets that are left need not try. */
  #full: RealmliftError | undefined;
  /** What stays of the set. */
  #ledger: readonly CompiledView[] = [];

  constructor(context: RunContext, options: SetExportOptions) {
    this.#context = context;
    this.#options = options;
  }

  async run(targets: readonly Target[]): Promise<SetOutcome[]> {
    await withWorkspace(this.#options.output, async (directory) => {
      const taken = this.#take(targets, ownerFile(directory));
      try {
        const { ready, status } = await this.#checkBeforehand(taken);
        for (const text of status?.warnings ?? []) this.#context.onEvent({ target: '', kind: 'warning', text });
        if (ready.length > 0) await this.#export(ready, directory, status);
      } finally {
        for (const { target, output } of taken) if (!this.#published(target)) output.release();
      }
    });
    return targets.map((target) => this.#outcomes.get(target) as SetOutcome);
  }

  #published(target: Target): boolean {
    const outcome = this.#outcomes.get(target);
    return outcome !== undefined && 'result' in outcome;
  }

  #fail(target: Target, error: unknown): void {
    this.#outcomes.set(target, { target, error: asRealmliftError(error) });
  }

  /** All directories before the first row: one that is in the way is told at once. */
  #take(targets: readonly Target[], owner: string): Taken[] {
    const { output, leftovers } = this.#options;
    return targets.flatMap((target) => {
      try {
        return [{ target, output: takeOutputDirectory(output, target.directory, leftovers, owner) }];
      } catch (error) {
        this.#fail(target, error);
        return [];
      }
    });
  }

  /** The salt is asked of realms with uploaded avatars, what concerns the server of one. */
  async #checkBeforehand(taken: readonly Taken[]): Promise<{ ready: Taken[]; status: MigrationStatusResult | undefined }> {
    const { snapshot: { client, lost } } = this.#context;
    const { rows } = await client.query<{ id: number }>("SELECT DISTINCT realm_id::float8 AS id FROM zerver_userprofile WHERE avatar_source = 'U' AND realm_id = ANY ($1)", [taken.map(({ target }) => target.realm.id)]);
    const uploaded = new Set(rows.map(({ id }) => id));
    const ready: Taken[] = [];
    let status: MigrationStatusResult | undefined;
    for (const [index, each] of taken.entries()) {
      try {
        if (index === 0 || uploaded.has(each.target.realm.id)) status = await checkBeforehand(this.#context, { plan: await this.#plan(each.target, '') }, client, lost);
        ready.push(each);
      } catch (error) {
        this.#fail(each.target, error);
      }
    }
    return { ready, status };
  }

  /** Full exports of one run differ in their realms alone. */
  async #plan({ realm }: Target, seed: string): Promise<ExportPlan> {
    const { snapshot, source } = this.#context;
    this.#first ??= planExport(snapshot.client, source, { realm, mode: 'full', userId: undefined, decisions: this.#options.decisions, consentMessage: undefined, approved: undefined, force: false, seed });
    const first = await this.#first;
    return { ...first, request: { ...first.request, realm, seed }, parameters: { ...first.parameters, realm_id: realm.id, realm_ids: [realm.id], seed } };
  }

  async #export(taken: readonly Taken[], directory: string, status: MigrationStatusResult | undefined): Promise<void> {
    const { snapshot, snapshot: { client }, source, jobs, onEvent } = this.#context;
    const avatarless = await this.#avatarless(taken.map(({ target }) => target.realm));
    const refused = new Map<number, RealmliftError>();
    const closed = await withoutFaulty(taken.map(({ target }) => target.realm.id), async (ids) => {
      const asked = new Set(ids);
      const realms = taken.map(({ target }) => target.realm).filter(({ id }) => asked.has(id));
      return withLoan(snapshot, 'plan', () => undefined, async (session, giveBack) => {
        await useSchema(session, source.schema);
        const result = await closeSet(session, planSet(source, realms, this.#options.decisions, avatarless), source)
          .catch((error: unknown) => { throw isOfRows(error) ? new RowFault(asRealmliftError(error), NaN) : error; });
        giveBack(true);
        return result;
      });
    }, (realmId, fault) => refused.set(realmId, fault));
    for (const { refused: more } of closed) for (const [realmId, error] of more) refused.set(realmId, error);
    const plan = closed[0]?.plan;
    if (plan === undefined || refused.size > 0) {
      for (const { target } of taken) if (refused.has(target.realm.id)) this.#fail(target, refused.get(target.realm.id));
      const rest = taken.filter(({ target }) => !refused.has(target.realm.id));
      if (rest.length > 0) await this.#export(rest, directory, status);
      return;
    }
    this.#ledger = plan.compiled.ledger;
    onEvent({ target: '', kind: 'started', resumed: 'not', tables: tablesByClass(plan.tables) });
    const origin = await readSetOrigin(client, this.#context.server, plan, source);
    const mended = MESSAGE_TABLES.some((table) => plan.compiled.tables.get(table)?.closed !== undefined);
    const bots = await botRows(client, plan.parameters.cross_realm_bot_ids);
    const rows = await new SetRows(this.#context, plan, directory).run();
    this.#options.onCopied();
    for (const [ordinal, error] of rows.failed) this.#fail((taken[ordinal] as Taken).target, error);
    const reader = new SpoolReader();
    const messages = { messages: rows.messages, usermessages: rows.usermessages, targets: taken.length, tables: ['zerver_message', 'zerver_usermessage'] } as const;
    try {
      await FinisherPool.with(jobs, { set: messages }, async (finishers) => {
        const set: SetOfTargets = { context: this.#context, rows, wanted: { reader, bots, spools: spoolsWanted(rows.spools), unreadable: rows.unreadable }, reader, status, finishers, origin, closed: mended };
        const left = taken.map((each, ordinal) => ({ ...each, ordinal })).filter(({ ordinal }) => !rows.failed.has(ordinal));
        await this.#finishAll(set, left);
      });
    } finally {
      reader.close();
    }
  }

  /** Without avatars nobody has one. */
  async #avatarless(realms: readonly Realm[]): Promise<number[]> {
    const { snapshot: { client }, avatars } = this.#context;
    if (avatars) return [];
    const { rows } = await client.query<{ id: number }>("SELECT id::float8 AS id FROM zerver_userprofile WHERE avatar_source = 'U' AND realm_id = ANY ($1) ORDER BY id", [realms.map(({ id }) => id)]);
    return rows.map(({ id }) => id);
  }

  /** While some are flushed and published, the next are put together. */
  async #finishAll(set: SetOfTargets, left: readonly (Taken & { ordinal: number })[]): Promise<void> {
    let whole: Whole[] = [];
    let bytes = 0;
    let publishing: Promise<void> = Promise.resolve();
    const publish = (): Promise<void> => {
      const [before, batch] = [publishing, whole];
      [whole, bytes] = [[], 0];
      publishing = before.then(() => this.#publish(batch));
      // It is awaited with the next ones.
      publishing.catch(() => undefined);
      return before;
    };
    await inParallel(left, AT_ONCE, async ({ ordinal, ...taken }) => {
      try {
        this.#context.snapshot.lost.throwIfAborted();
        if (this.#full !== undefined) throw this.#full;
        const result = await this.#finish(set, ordinal, taken);
        whole.push({ taken, result });
        for (const size of result.bytes.values()) bytes += size;
      } catch (error) {
        this.#context.snapshot.lost.throwIfAborted();
        if (noSpaceLeft(error)) this.#full ??= error;
        this.#fail(taken.target, error);
      }
      if (whole.length >= PUBLISHED_AT_ONCE || bytes >= BYTES_AT_ONCE) await publish();
    });
    await publish();
    await publishing;
    // The new names.
    await flushTogether(this.#options.output, []);
  }

  async #finish(set: SetOfTargets, ordinal: number, { target, output }: Taken): Promise<SetResult> {
    const { choices, verify, placeOf } = this.#options;
    const began = Date.now();
    return Journal.with(output.run, async (journal) => {
      const planned = await this.#plan(target, this.#options.seed ?? journal.head?.seed ?? randomBytes(32).toString('hex'));
      const plan = { ...planned, compiled: { ...planned.compiled, ledger: this.#ledger } };
      const { result, origin } = await exportSetTarget(set, ordinal, { target: target.name, plan, output, journal, owners: undefined, options: choices, flushed: false });
      await writeCatchUp(output.partial, origin, journal.finished(), result.tableFiles);
      const verified = await set.finishers.run('conclude', {
        directory: output.partial, place: placeOf?.(target.directory) ?? { directory: output.final }, began, jobs: this.#context.jobs,
        hint: verify ? `realmlift verify ${output.partial} lists them; nothing was published` : undefined,
      });
      return { ...result, directory: output.final, verified };
    }, false);
  }

  async #publish(whole: readonly Whole[]): Promise<void> {
    if (whole.length === 0) return;
    const { output: root } = this.#options;
    await flushTogether(root, whole.map(({ taken }) => taken.output.partial));
    this.#context.snapshot.lost.throwIfAborted();
    for (const { taken: { target, output }, result } of whole) {
      try {
        output.publish(output.partial, false);
        this.#outcomes.set(target, { target, result });
        this.#context.onEvent({ target: target.name, kind: 'finished', directory: output.final });
      } catch (error) {
        this.#fail(target, error);
      }
    }
  }
}

/** No space on the disk, and not that one file is larger than it may be. */
function noSpaceLeft(error: unknown): error is RealmliftError {
  return error instanceof RealmliftError && error.code === 'DISK_FULL' && error.message.startsWith('no space left');
}
