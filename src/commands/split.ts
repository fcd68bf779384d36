/**
 * One realm, or some, as a database of its own: schema, rows with their ids, and what a server needs to run, out of one snapshot.
 *
 * 1. The schema comes from the server's own pg_dump in the snapshot; nobody's role and no right is taken along.
 * 2. Rows flow from COPY to COPY, by the views of an export (split-rows.ts), and what a server needs beside them (server-rows.ts).
 * 3. What refers to rows that stayed is nulled, or left out where it must refer to something, and counted.
 * 4. Sequences stand as at the source; indexes and constraints follow, and event triggers last.
 *
 * Files are copied at the same time; what that asks of the database is had at once. The snapshot is let go when nothing has to be read
 * out of it any more: files and indexes take longest.
 */
import { INDEXES } from '../backup/restore/restore-post-data.js';
import { checkPgDump } from '../backup/schema/pg-dump.js';
import { EXIT, RealmliftError, asRealmliftError } from '../errors.js';
import { tellAhead, tellWarning } from '../narration.js';
import { holdExportedTables } from '../plan/hold-tables.js';
import { VIEW_SCHEMA } from '../plan/views/safe-views.js';
import { useSchema } from '../plan/search-path.js';
import { readSource, type Source } from '../plan/source.js';
import { findTargets, type TargetRequest } from '../plan/targets.js';
import type { ConnectionSettings } from '../snapshot/connection-settings.js';
import { withSession, withSnapshot, type Snapshot } from '../snapshot/snapshot.js';
import type { LockPatience } from '../snapshot/table-locks.js';
import { intoDatabase, type DatabaseTarget } from '../split/into-database.js';
import { intoScript, type ScriptTarget } from '../split/into-script.js';
import { PLAN, planSplit, type SplitChoices } from '../split/plan-split.js';
import { prepareSplit, type PreparedSplit, type SplitOutcome, type SplitSteps } from '../split/prepared-split.js';
import { startFiles, type FilesRequest, type SplitFiles } from '../split/split-files.js';
import { SPLIT_FILES, SPLIT_ROWS, tellRows } from '../split/split-progress.js';
import { goingOn, type Left } from '../split/unfinished-split.js';

export interface SplitRequest extends SplitChoices {
  readonly settings: ConnectionSettings;
  /** The empty database, or what takes a script for one; undefined for the files alone. */
  readonly to: DatabaseTarget | ScriptTarget | undefined;
  readonly files: FilesRequest | undefined;
  readonly patience: LockPatience;
  readonly signal: AbortSignal | undefined;
  /** Told how far it has come. */
  readonly onReached?: (reached: Reached) => void;
  readonly targets: TargetRequest;
  readonly zulipVersion: string | undefined;
  readonly jobs: number;
  readonly pgDump: string;
}

export interface SplitResult {
  readonly realms: readonly string[];
  /** Undefined when files alone were asked for. */
  readonly database: SplitOutcome | undefined;
  /** Undefined when nobody asked for files. */
  readonly files: SplitFiles | undefined;
}

/** How far it has come, which says what a failure leaves. */
export type Reached = 'nothing' | 'begun' | 'last' | 'complete';

/** @throws RealmliftError REALM_UNKNOWN, NO_OWNER, PG_DUMP_MISSING, DATABASE_NOT_EMPTY, …, each saying what it left */
export async function splitRealms(request: SplitRequest): Promise<SplitResult> {
  let reached: Reached = 'nothing';
  const reach = (now: Reached): void => {
    reached = now;
    request.onReached?.(now);
  };
  let working: Promise<SplitResult> | undefined;
  return split(request, reach, (work) => { working = work; }).catch(async (error: unknown) => {
    // Stopped while the server committed the last step, or when all was there.
    const result = reached === 'last' || reached === 'complete' ? await working?.catch(() => undefined) : undefined;
    if (result !== undefined) return result;
    const raised = asRealmliftError(error, 'split');
    // It shares pg_dump and the reading of sequences with backups, which know of nothing else.
    const known = raised.stage === 'backup' ? raised.with({ stage: 'split' }) : raised;
    throw request.to !== undefined && reached === 'nothing' ? known : goingOn(known, leftBy(request.to?.kind, reached));
  });
}

/** @param begun given the work, for whose end the snapshot does not wait long when it is stopped */
async function split(request: SplitRequest, reach: (now: Reached) => void, begun: (work: Promise<SplitResult>) => void): Promise<SplitResult> {
  return withSnapshot(request.settings, (snapshot) => {
    const work = splitFrom(snapshot, request, reach);
    begun(work);
    return work;
  }, { signal: request.signal });
}

async function splitFrom(snapshot: Snapshot, request: SplitRequest, reach: (now: Reached) => void): Promise<SplitResult> {
  const { to } = request;
  const source = await heldSource(snapshot, request);
  const targets = await findTargets(snapshot.client, request.targets, tellWarning);
  tellSteps(request);
  const { plans, prepared } = await withSession(snapshot, 'plan', async (session) => {
    await useSchema(session, source.schema);
    const made = await planSplit(session, source, targets, request);
    return { plans: made, prepared: to === undefined ? undefined : await prepareSplit(session, snapshot, source, made, request.pgDump) };
  });
  const files = request.files === undefined ? undefined : await startFiles(snapshot, source, plans, request.files);
  const letGo = async (): Promise<void> => {
    await files?.asked;
    await snapshot.letGo();
  };
  const database = to === undefined || prepared === undefined ? undefined : await into(to, prepared, request.jobs, {
    begun: () => {
      reach('begun');
      tellRows(prepared);
    },
    read: () => void letGo(),
    last: () => reach('last'),
  }).catch(async (error: unknown) => {
    await files?.stop(error);
    throw error;
  });
  if (database === undefined) void letGo();
  else reach('complete');
  files?.tell();
  return { realms: targets.map(({ name }) => name), database, files: await files?.result };
}

/** The tables are held before the first of them is read. @throws RealmliftError NOT_ZULIP, PG_DUMP_MISSING, RIGHT_MISSING, … */
async function heldSource(snapshot: Snapshot, { to, patience, pgDump, zulipVersion, decisions }: SplitRequest): Promise<Source> {
  await Promise.all([holdExportedTables(snapshot, patience).then(({ session }) => session), to === undefined ? undefined : checkPgDump(pgDump, snapshot.serverVersion)]);
  const source = await readSource(snapshot.client, zulipVersion, decisions.strip);
  if (source.schema !== VIEW_SCHEMA) return source;
  throw new RealmliftError('RIGHT_MISSING', 'split', 'a split reads the tables themselves, and this role only the views that realmlift install made', { hint: 'split as the owner of the database', exit: EXIT.nothingExported });
}

function tellSteps({ to, files }: SplitRequest): void {
  tellAhead([
    { name: PLAN, weight: 2 },
    ...(to === undefined ? [] : [{ name: SPLIT_ROWS, weight: 60 }]),
    ...(to?.kind === 'database' ? [{ name: INDEXES, weight: 30 }] : []),
    ...(files === undefined ? [] : [{ name: SPLIT_FILES, weight: 30 }]),
  ]);
}

async function into(to: NonNullable<SplitRequest['to']>, prepared: PreparedSplit, jobs: number, steps: SplitSteps): Promise<SplitOutcome> {
  return to.kind === 'database' ? intoDatabase(prepared, to, jobs, steps) : intoScript(prepared, to, steps);
}

/** What a run that ends early leaves, and how to go on. */
export function leftBy(kind: 'database' | 'script' | undefined, reached: Reached): Left {
  if (reached === 'complete') return { left: 'the rows are complete, the files are not', hint: 'run again without --target-url and --output, which copies the files alone' };
  if (kind === undefined || reached === 'nothing') return { left: kind === undefined ? 'files that are there are whole' : 'nothing was written', hint: 'run it again from the start' };
  if (kind === 'script') return { left: 'the script has no COMMIT, so that nothing of it is kept', hint: 'run it again from the start' };
  if (reached === 'last') return { left: 'the database is unfinished and says so, unless the server was just committing the last step', hint: '--restart removes all that is there and begins anew, or refuses a database that is complete' };
  return { left: 'the database is unfinished and says so', hint: '--restart removes all that is there and begins anew' };
}
