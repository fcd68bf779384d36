/**
 * One realm (or one user) out of the run's snapshot into one directory.
 *
 * 1. What would be refused is refused, and what the caller should know is told, before a row leaves.
 * 2. From then on the run can be resumed; what an earlier run or a base has is looked up.
 * 3. Rows (realm-rows.ts) and files (realm-files.ts) come at the same time; what is finished is kept in realm-progress.ts.
 * 4. All of it becomes the package (package-realm.ts).
 */
import { setMaxListeners } from 'node:events';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type pg from 'pg';
import type { FilesResult } from '../files/file-events.js';
import { PARTS_DIRECTORY, partPath } from '../package/part-paths.js';
import { fewReceivers } from '../plan/receivers.js';
import { cutConnection } from '../snapshot/cut-connection.js';
import type { CatchUpPart } from './base/catch-up-file.js';
import { readOrigin, type Origin } from './base/origin.js';
import { LaterRun } from './catch-up/later-run.js';
import { runBase } from './catch-up/run-base.js';
import { checkBeforehand, filesWarnings } from './check-beforehand.js';
import { withoutLostAttachments } from './lost-attachments.js';
import { queryOfMessages } from './message-segments.js';
import type { ArchiveOutlet } from './outlet.js';
import { pullRealmFiles, realmFiles } from './realm-files.js';
import { RealmProgress } from './realm-progress.js';
import { RealmRows } from './realm-rows.js';
import { beginRun, concludeRun, type RealmResult, type RealmRun, type RunContext } from './realm-run.js';
import { wantedRows } from './wanted/wanted-rows.js';

/** A realm whose rows are copied for it alone. */
export interface AloneRun extends RealmRun {
  /** A session in the snapshot, for this target alone until its rows are copied. */
  readonly session: pg.Client;
  /** Waits until files of this target may be pulled: other targets' may have to come first. */
  readonly turnOfFiles: () => Promise<void>;
  /** Takes finished files as they come, where the export is a stream. */
  readonly outlet: ArchiveOutlet | undefined;
}

/**
 * Exports into `output.partial`; the caller verifies and publishes.
 *
 * @param onCopied told when the session is not needed any more, and whether it is still good
 * @returns with what a later run must know to catch up with the server, which of a single user is nothing, and the parts of which the journal does not know
 */
export async function exportRealm(context: RunContext, run: AloneRun, onCopied: (good: boolean) => void): Promise<{ result: RealmResult; origin: Origin | undefined; taken: Iterable<CatchUpPart> }> {
  const { plan, session, journal, output: { partial } } = run;
  // Aborts what else is under way when one piece fails.
  const stop = new AbortController();
  const signal = AbortSignal.any([stop.signal, context.snapshot.lost]);
  // Each segment under way listens.
  setMaxListeners(0, signal);
  const progress = new RealmProgress(context, run, run.outlet, (error) => stop.abort(error));

  const status = await checkBeforehand(context, run, session, signal);
  for (const text of [...(status?.warnings ?? []), ...filesWarnings(context, run)]) progress.warn(text);

  const identity = beginRun(context, run, plan.tables);
  mkdirSync(join(partial, PARTS_DIRECTORY), { recursive: true, mode: 0o700 });
  const origin = plan.request.mode === 'user' ? undefined : await readOrigin(session, context.snapshot, context.server, plan, context.source, identity, queryOfMessages(plan));
  const later = new LaterRun(session, plan, context.source, origin, run.base);
  const base = await runBase(session, context.snapshot, plan, context.source, run.base, origin, later);
  if (base?.compared !== undefined) progress.tell({ kind: 'warning', text: `the rows of messages are compared with those of the base one by one: ${base.compared}` });

  const receivers = origin && fewReceivers(origin.receivers, context.snapshot.serverVersion);
  const files = await rowsAndFiles(context, run, progress, new RealmRows(context, run, progress, base, receivers, signal), { stop, signal, onCopied, later, known: base?.unchanged === true ? base.base.origin : undefined });

  progress.tell({ kind: 'packaging' });
  // The rows of attachments without a file stay, which was not known when they were copied.
  const { totals, losses, warnings } = progress;
  if (losses.hasAttachments) progress.replace(await withoutLostAttachments(partial, plan, journal.get(partPath('zerver_attachment')), losses.attachments()));
  const parts = progress.parts();
  const result = await concludeRun(context, run, { parts, totals, files, losses, status, warnings, base: base && progress.baseReport(base, parts), taken: progress.takenFiles });
  return { result, origin: later.origin, taken: progress.takenParts };
}

interface Ends {
  readonly stop: AbortController;
  readonly signal: AbortSignal;
  readonly onCopied: (good: boolean) => void;
  readonly later: LaterRun;
  /** What the base says where nothing was written since. */
  readonly known: Origin | undefined;
}

/** Both at once; the first failure stops the rest, and nothing goes on behind the caller's back. */
async function rowsAndFiles(context: RunContext, run: AloneRun, progress: RealmProgress, realmRows: RealmRows, { stop, signal, onCopied, later, known }: Ends): Promise<FilesResult> {
  const { session, plan } = run;
  const cut = (): void => cutConnection(session);
  signal.addEventListener('abort', cut, { once: true });
  const wanted = realmFiles(context, run, wantedRows(session, plan, context.source), progress);
  const files = wanted.then(async (list) => {
    await run.turnOfFiles();
    return pullRealmFiles(context, run, list, signal, progress);
  });
  const { pieces: rowPieces, messages } = realmRows.begin(session, later.turns);
  const rows = [wanted, ...rowPieces, wanted.then(async () => later.ask(known, await messages))];
  void Promise.allSettled(rows).then(() => {
    signal.removeEventListener('abort', cut);
    onCopied(!signal.aborted);
  });
  const pieces = [...rows, files];
  for (const piece of pieces) piece.catch((error: unknown) => stop.abort(error));
  const settled = await Promise.allSettled(pieces);
  if (signal.aborted) throw signal.reason;
  for (const each of settled) if (each.status === 'rejected') throw each.reason;
  await progress.left();
  return files;
}
