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
import { copyError } from '../copy/copy-error.js';
import { lossOf } from '../snapshot/driver-client.js';
import { cutConnection } from '../snapshot/snapshot.js';
import { checkBeforehand, filesWarnings } from './check-beforehand.js';
import { withoutLostAttachments } from './lost-attachments.js';
import { queryOfMessages } from './message-segments.js';
import { countTables, tablesToCount, type TablesNow } from './base/counted-tables.js';
import { readFollowers, type FoundFollowers } from './base/follower-rows.js';
import { readOrigin, type Origin } from './base/origin.js';
import type { CatchUpPart } from './base/catch-up-file.js';
import { firstNew } from './base/trust-base.js';
import { fewReceivers } from '../plan/receivers.js';
import type { ArchiveOutlet } from './outlet.js';
import { PARTS_DIRECTORY, partPath } from '../package/part-paths.js';
import { pullRealmFiles, realmFiles } from './realm-files.js';
import { RealmProgress } from './realm-progress.js';
import { RealmRows, type InTurn } from './realm-rows.js';
import { beginRun, concludeRun, type RealmResult, type RealmRun, type RunContext } from './realm-run.js';
import { runBase } from './run-base.js';
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
  const inTurn = turns();
  let found: Promise<FoundFollowers | undefined> | undefined;
  const find = (): Promise<FoundFollowers | undefined> => (found ??= origin === undefined ? Promise.resolve(undefined) : inTurn(() => readFollowers(session, plan, context.source, run.base && { since: firstNew(run.base.origin.server), until: run.base.lastMessages()?.until ?? 0 })));
  const before = run.base && { counted: run.base.origin.counted ?? {}, since: firstNew(run.base.origin.server) };
  let counting: Promise<TablesNow> | undefined;
  const count = (messages: number): Promise<TablesNow> => (counting ??= inTurn(() => countTables(session, context.source, tablesToCount(plan, context.source.catalog, messages), before)));
  const base = await runBase(session, context.snapshot, plan, context.source, run.base, origin, find, () => count(run.base?.messageCount ?? 0));
  let { followers, counted } = base?.unchanged === true ? base.base.origin : {};
  if (base?.compared !== undefined) progress.tell({ kind: 'warning', text: `the rows of messages are compared with those of the base one by one: ${base.compared}` });

  const beside = async (messages: Promise<number>): Promise<void> => {
    const travelling = await messages;
    try {
      followers ??= (await find())?.now;
      if (origin !== undefined) counted ??= (await count(travelling)).counted;
    } catch (error) {
      // The session was idle for a while.
      throw copyError(lossOf(session, error), undefined, '', session.user ?? 'the role');
    }
  };
  const receivers = origin && fewReceivers(origin.receivers, context.snapshot.serverVersion);
  const files = await rowsAndFiles(context, run, progress, new RealmRows(context, run, progress, base, receivers, signal), { stop, signal, onCopied, inTurn, beside });

  progress.tell({ kind: 'packaging' });
  // The rows of attachments without a file stay, which was not known when they were copied.
  if (files.lostAttachmentIds.length > 0) progress.replace(await withoutLostAttachments(partial, plan, journal.get(partPath('zerver_attachment')), files.lostAttachmentIds));
  const parts = progress.parts();
  const { totals, losses, warnings } = progress;
  const result = await concludeRun(context, run, { parts, totals, files, losses, status, warnings, base: base && progress.baseReport(base, parts), taken: progress.takenFiles });
  return { result, origin: origin && { ...origin, followers, counted }, taken: progress.takenParts };
}

function turns(): InTurn {
  let before: Promise<unknown> = Promise.resolve();
  return (ask) => {
    const answer = before.then(ask);
    before = answer.catch(() => undefined);
    return answer;
  };
}

interface Ends {
  readonly stop: AbortController;
  readonly signal: AbortSignal;
  readonly onCopied: (good: boolean) => void;
  /** The session takes two askers at a time: who wants files, and one of all others. */
  readonly inTurn: InTurn;
  /** Asks the session too, when what is wanted is known. */
  readonly beside: (messages: Promise<number>) => Promise<void>;
}

/** Both at once; the first failure stops the rest, and nothing goes on behind the caller's back. */
async function rowsAndFiles(context: RunContext, run: AloneRun, progress: RealmProgress, realmRows: RealmRows, { stop, signal, onCopied, inTurn, beside }: Ends): Promise<FilesResult> {
  const { session, plan } = run;
  const cut = (): void => cutConnection(session);
  signal.addEventListener('abort', cut, { once: true });
  const wanted = realmFiles(context, run, wantedRows(session, plan, context.source), progress);
  const files = wanted.then(async (list) => {
    await run.turnOfFiles();
    return pullRealmFiles(context, run, list, signal, progress);
  });
  const { pieces: rowPieces, messages } = realmRows.begin(session, inTurn);
  const rows = [wanted, ...rowPieces, wanted.then(() => beside(messages))];
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
