/** One target of a run, as a table of contents: its directory is taken, its plan made, its rows and files exported; then it is checked, described and published. */
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type pg from 'pg';
import { RECORDS } from '../../files/records.js';
import { FlushBeside, flushTop } from '../../package/flush-together.js';
import { Journal } from '../../package/journal.js';
import { takeOutputDirectory, type OutputDirectory } from '../../package/output-directory.js';
import { planExport, type ExportPlan } from '../../plan/plan-export.js';
import { useSchema } from '../../plan/search-path.js';
import type { Target } from '../../plan/targets.js';
import { withLoan } from '../../snapshot/snapshot.js';
import { Base } from '../base/base.js';
import { writeCatchUp } from '../base/catch-up-file.js';
import { wroteNothing } from '../base/trust-base.js';
import { exportRealm } from '../export-realm.js';
import type { ExportResult } from '../outcome.js';
import { ArchiveOutlet } from '../outlet.js';
import type { RealmResult, RunContext } from '../realm-run.js';
import { closeReferences } from '../references/close-references.js';
import { baseOfTarget } from './base-of-target.js';
import { concludeExport } from './conclude-export.js';
import type { DigestsAhead } from '../../verify/digests-ahead.js';
import { approvedFilesOnly, choices, type TargetOptions } from './target-options.js';
import type { Turns } from './turns.js';

export interface TargetRun {
  readonly context: RunContext;
  readonly target: Target;
  readonly options: TargetOptions;
  readonly turns: Turns;
  /** The run names one realm alone. */
  readonly oneNamed: boolean;
  /** Its files lie in a store of others: they cannot be read again here. */
  readonly stored: boolean;
}

/** What lies in the directory of a run while it goes on. */
interface Work {
  readonly output: OutputDirectory;
  readonly journal: Journal;
  readonly base: Base | undefined;
  /** Takes finished files at once, where the export is a stream; ids are rewritten in an export that is whole, such a one leaves after that. */
  readonly outlet: ArchiveOutlet | undefined;
  /** Of messages files that are published as they are. */
  readonly flushing: FlushBeside | undefined;
  /** Of files whose bytes verify will only compare. */
  readonly ahead: DigestsAhead | undefined;
}

/** @throws RealmliftError; then nothing is at the final path, and what is there of it can be resumed */
export async function exportTarget(run: TargetRun): Promise<ExportResult> {
  const { context: { snapshot }, target, options } = run;
  const began = Date.now();
  snapshot.lost.throwIfAborted();
  const output = takeOutputDirectory(options.output, target.directory, options.resume ? 'resume' : 'refuse');
  try {
    const earlier = options.base && baseOfTarget(options.base, target, run.oneNamed, (text) => options.onEvent({ target: target.name, kind: 'warning', text }));
    const stays = options.archive === undefined && options.remap === undefined && !run.stored;
    const outlet = options.archive === undefined || options.remap !== undefined ? undefined : new ArchiveOutlet(options.archive, target.directory, output.partial);
    const { result, directory, verified, stored, remapped } = await Journal.with(output.run, (journal) => Base.with(earlier, output.run, async (base) => {
      const work = async (ahead?: DigestsAhead): Promise<{ result: RealmResult } & Awaited<ReturnType<typeof finish>>> => {
        const there: Work = { output, journal, base, outlet, flushing: stays ? new FlushBeside() : undefined, ahead };
        const result = await exportRows(run, there);
        return { result, ...await finish(run, there, began) };
      };
      return base?.verified === undefined || !verifies(run, outlet) ? work() : (await import('../../verify/digests-ahead.js')).DigestsAhead.with(output.partial, work);
    }));
    snapshot.lost.throwIfAborted();
    output.publish(directory);
    options.onEvent({ target: target.name, kind: 'finished', directory: output.final });
    return { ...result, directory: output.final, verified, stored, remapped };
  } catch (error) {
    output.release();
    throw error;
  }
}

/** Everything that is asked of the server, and the files: the export is whole then, in the directory of the run. */
async function exportRows({ context, target, options, turns }: TargetRun, { output, journal, base, outlet, flushing, ahead }: Work): Promise<RealmResult> {
  const same = base !== undefined && wroteNothing(base.origin.server, context.server);
  // While the plan is made, disk and processor have little to do.
  if (same) await ahead?.addLinked(base.directory, base.messagesFiles(), output.run);
  const { result, origin, taken } = await withLoan(context.snapshot, 'plan', turns.copied, async (session, copied) => {
    const plan = await planTarget(session, context, target, options, journal.head?.seed, same ? base.origin.outside : undefined);
    const owners = approvedFilesOnly(options, target) ? new Set(plan.parameters.consenting_user_ids) : undefined;
    return exportRealm(context, { target: target.name, plan, output, journal, session, owners, options: choices(options, target), flushed: true, flushing, outlet, turnOfFiles: turns.files, base, onTaken: (file) => ahead?.add(file) }, copied);
  });
  if (origin !== undefined && options.archive === undefined && options.remap === undefined) await writeCatchUp(output.partial, origin, (async function* () { yield* taken; yield* journal.finished(); })(), result.tableFiles);
  return result;
}

/** @param seed of the run that is resumed @param known see closeReferences */
async function planTarget(session: pg.Client, { source }: RunContext, target: Target, options: TargetOptions, seed: string | undefined, known: ExportPlan['outside']): Promise<ExportPlan> {
  const { mode, decisions, consentMessage, force, randomSeed } = options;
  const { realm, userId, approved } = target;
  await useSchema(session, source.schema);
  const plan = await planExport(session, source, {
    realm, mode, userId, decisions, consentMessage, approved, force, avatars: !options.avatars ? 'none' : approvedFilesOnly(options, target) ? 'consenting' : 'all',
    seed: randomSeed ?? seed ?? randomBytes(32).toString('hex'),
  });
  return closeReferences(session, plan, source, known);
}

/** Whether the export is read again: what has left cannot be. */
function verifies({ options, stored }: TargetRun, outlet: ArchiveOutlet | undefined): boolean {
  return options.verify && outlet === undefined && !stored;
}

/** @returns the directory to publish */
async function finish(run: TargetRun, { output, journal, base, outlet, flushing, ahead }: Work, began: number): Promise<{ directory: string } & Pick<ExportResult, 'verified' | 'stored' | 'remapped'>> {
  const { context, target, options, stored } = run;
  const { remap, archive, jobs } = options;
  // Loaded when it is needed: the first row waits for none of it.
  const { directory, remapped } = remap === undefined ? { directory: output.partial, remapped: undefined } : await (await import('./remap-finished.js')).remapFinished(remap, output);
  const objects = await context.checkStored?.(output.partial, journal);
  const gone = outlet !== undefined || stored;
  // With other ids they are other files.
  const known = remap === undefined ? { ahead, mended: (path: string) => journal.get(path)?.mended === true } : {};
  const verify = verifies(run, outlet);
  if (verify) options.onEvent({ target: target.name, kind: 'verifying' });
  const verified = await concludeExport(directory, {
    hint: verify ? `realmlift verify ${directory} lists them; nothing was published` : undefined, began, jobs, place: options.placeOf?.(target.directory) ?? { directory: output.final },
  }, { check: { jobs, before: base?.checked, ...known }, same: remap === undefined ? base?.verified : undefined, gone });
  if (archive === undefined) await Promise.all([flushing?.all(), flushTop(directory, [...RECORDS].filter((path) => existsSync(join(directory, path))))]);
  await outlet?.sendRest((path) => journal.get(path) !== undefined);
  if (archive !== undefined && outlet === undefined) await new ArchiveOutlet(archive, target.directory, directory).sendRest(() => false);
  return { directory, verified, stored: objects, remapped };
}
