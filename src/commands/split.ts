/**
 * One realm, or some, as a database of its own: schema, rows with their ids, and what a server needs to run, out of one snapshot.
 *
 * 1. The schema comes from the server's own pg_dump in the snapshot; nobody's role and no right is taken along.
 * 2. Rows flow from COPY to COPY, by the views of an export (split-rows.ts), and what a server needs beside them (server-rows.ts).
 * 3. What refers to rows that stayed is nulled, or left out where it must refer to something, and counted.
 * 4. Sequences stand as at the source; indexes and constraints follow, and event triggers last.
 *
 * Files are copied at the same time. The snapshot is let go when nothing has to be read out of it any more: indexes take longest.
 */
import { randomBytes } from 'node:crypto';
import type pg from 'pg';
import { INDEXES } from '../backup/restore/restore-post-data.js';
import { checkPgDump } from '../backup/schema/pg-dump.js';
import { EXIT, RealmliftError, asRealmliftError } from '../errors.js';
import { tellAhead, tellPhase, tellProgress, tellWarning } from '../narration.js';
import type { Decisions } from '../plan/views/compile-view.js';
import type { Mode } from '../plan/views/condition.js';
import { holdExportedTables } from '../plan/hold-tables.js';
import { planExport, type ExportPlan } from '../plan/plan-export.js';
import type { Realm } from '../plan/realm.js';
import { VIEW_SCHEMA } from '../plan/views/safe-views.js';
import { useSchema } from '../plan/search-path.js';
import { readSource, type Source } from '../plan/source.js';
import { findTargets, type TargetRequest } from '../plan/targets.js';
import type { ConnectionSettings } from '../snapshot/connection-settings.js';
import { withSession, withSnapshot, type Snapshot } from '../snapshot/snapshot.js';
import type { LockPatience } from '../snapshot/table-locks.js';
import { usersSchemas } from '../snapshot/unqualified-names.js';
import { intoDatabase, type DatabaseTarget } from '../split/into-database.js';
import { intoScript, type Write } from '../split/into-script.js';
import type { PreparedSplit, SplitOutcome, SplitSteps } from '../split/prepared-split.js';
import { references, tableShapes } from '../split/split-columns.js';
import { approvedOwners, openPlaces, refusedAttachments, splitFiles, type FilesRequest, type SplitFiles } from '../split/split-files.js';
import { SPLIT_FILES, SPLIT_ROWS, expectMessages, tellRows } from '../split/split-progress.js';
import { messageQueries, MESSAGES, splitRows, USERMESSAGES, type MessageQueries, type SplitRows } from '../split/split-rows.js';
import { goingOn, type Left } from '../split/unfinished-split.js';

export interface SplitRequest {
  readonly settings: ConnectionSettings;
  /** The empty database, or what takes a script for one; undefined for the files alone. */
  readonly to: DatabaseTarget | { readonly kind: 'script'; readonly write: Write } | undefined;
  readonly files: FilesRequest | undefined;
  readonly patience: LockPatience;
  readonly signal: AbortSignal | undefined;
  /** Told how far it has come. */
  readonly onReached?: (reached: Reached) => void;
  readonly targets: TargetRequest;
  readonly mode: Mode;
  readonly consentMessage: number | undefined;
  /** With approved users: only their files travel, and no row of others'. */
  readonly approvedFilesOnly: boolean;
  /** Whether uploaded avatars travel; else their users have none. */
  readonly avatars: boolean;
  readonly force: boolean;
  readonly decisions: Decisions;
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

const CLIENTS = 'zerver_client';

/** How far it has come, which says what a failure leaves. */
export type Reached = 'nothing' | 'begun' | 'complete';

/** @throws RealmliftError REALM_UNKNOWN, NO_OWNER, PG_DUMP_MISSING, DATABASE_NOT_EMPTY, …, each saying what it left */
export async function splitRealms(request: SplitRequest): Promise<SplitResult> {
  let reached: Reached = 'nothing';
  const reach = (now: Reached): void => {
    reached = now;
    request.onReached?.(now);
  };
  return split(request, reach).catch((error: unknown) => {
    const known = asRealmliftError(error, 'split');
    throw request.to !== undefined && reached === 'nothing' ? known : goingOn(known, leftBy(request.to?.kind, reached));
  });
}

async function split(request: SplitRequest, reach: (now: Reached) => void): Promise<SplitResult> {
  const { to, jobs } = request;
  return withSnapshot(request.settings, async (snapshot) => {
    await Promise.all([holdExportedTables(snapshot, request.patience).then(({ session }) => session), to === undefined ? undefined : checkPgDump(request.pgDump, snapshot.serverVersion)]);
    const source = await readSource(snapshot.client, request.zulipVersion, request.decisions.strip);
    if (source.schema === VIEW_SCHEMA) {
      throw new RealmliftError('RIGHT_MISSING', 'split', 'a split reads the tables themselves, and this role only the views that realmlift install made', { hint: 'split as the owner of the database', exit: EXIT.nothingExported });
    }
    const targets = await findTargets(snapshot.client, request.targets, tellWarning);
    const realms = targets.map(({ name }) => name);
    tellAhead([{ name: 'plan', weight: 2 }, ...(to === undefined ? [] : [{ name: SPLIT_ROWS, weight: 60 }]), ...(to?.kind === 'database' ? [{ name: INDEXES, weight: 30 }] : []), ...(request.files === undefined ? [] : [{ name: SPLIT_FILES, weight: 30 }])]);
    tellPhase('plan', 'realms', targets.length);
    return withSession(snapshot, 'plan', async (session) => {
      await useSchema(session, source.schema);
      const seed = randomBytes(32).toString('hex');
      const plans: ExportPlan[] = [];
      for (const { realm, approved } of targets) {
        plans.push(await planned(session, source, request, seed, realm, approved));
        tellProgress(1);
      }
      for (const warning of unclassified(plans)) tellWarning(warning);
      const prepared = to === undefined ? undefined : { ...(await prepare(session, snapshot.client, source, plans)), snapshot, source, realms, pgDump: request.pgDump };
      if (prepared !== undefined) await expectMessages(prepared, session);
      const files = await startFiles(snapshot, session, source, plans, request.files);
      if (prepared === undefined) files.tell();
      const database = prepared === undefined || to === undefined ? undefined : await into(prepared, to, jobs, {
        begun: () => {
          reach('begun');
          tellRows(prepared);
        },
        read: () => void files.done.then(snapshot.letGo),
      }).catch(async (error: unknown) => {
        await files.stop(error);
        throw error;
      });
      if (database !== undefined) {
        reach('complete');
        files.tell();
      }
      return { realms, database, files: await files.result };
    });
  }, { signal: request.signal });
}

async function into(prepared: PreparedSplit, to: NonNullable<SplitRequest['to']>, jobs: number, steps: SplitSteps): Promise<SplitOutcome> {
  return to.kind === 'database' ? intoDatabase(prepared, to, jobs, steps) : intoScript(prepared, to.write, steps);
}

/** What no release that is known has: tables stay, columns travel. */
function unclassified([plan]: readonly ExportPlan[]): string[] {
  const { unknownTables = [], unknownColumns = [] } = plan?.review ?? {};
  return [
    ...(unknownTables.length === 0 ? [] : [`unknown tables, which are empty in the split: ${unknownTables.join(', ')}`]),
    ...(unknownColumns.length === 0 ? [] : [`unknown columns, which travel: ${unknownColumns.join(', ')}`]),
  ];
}

/** What a run that ends early leaves, and how to go on. */
export function leftBy(kind: 'database' | 'script' | undefined, reached: Reached): Left {
  if (reached === 'complete') return { left: 'the rows are complete, the files are not', hint: 'run again without --target-url and --output, which copies the files alone' };
  if (kind === undefined || reached === 'nothing') return { left: kind === undefined ? 'files that are there are whole' : 'nothing was written', hint: 'run it again from the start' };
  if (kind === 'script') return { left: 'the script has no COMMIT, so that nothing of it is kept', hint: 'run it again from the start' };
  return { left: 'the database is unfinished and says so', hint: '--restart removes all that is there and begins anew' };
}

async function planned(session: pg.Client, source: Source, request: SplitRequest, seed: string, realm: Realm, approved: readonly number[] | undefined): Promise<ExportPlan> {
  const { mode, decisions, consentMessage, force, avatars, approvedFilesOnly } = request;
  const plan = await planExport(session, source, {
    realm, mode, userId: undefined, decisions, consentMessage, approved: mode === 'consent' ? approved : undefined, force, seed,
    avatars: !avatars ? 'none' : approved !== undefined && approvedFilesOnly ? 'consenting' : 'all',
  });
  return { ...plan, parameters: { ...plan.parameters, missing_attachment_ids: await refusedAttachments(session, source, plan, approvedOwners(plan, approvedFilesOnly)) } };
}

/** @param later a session for what is asked once the rows flow */
async function prepare(session: pg.Client, later: pg.Client, source: Source, plans: readonly ExportPlan[]): Promise<Omit<PreparedSplit, 'snapshot' | 'source' | 'realms' | 'pgDump'>> {
  const shapes = await tableShapes(session, source.schema);
  const rows: SplitRows[] = [];
  for (const shape of shapes) if (![MESSAGES, USERMESSAGES, CLIENTS].includes(shape.name)) rows.push(...[await splitRows(session, source, plans, shape)].flatMap((each) => each ?? []));
  const messages: MessageQueries[] = [];
  for (const [n, plan] of plans.entries()) messages.push(await messageQueries(session, source, plan, plans.slice(0, n), shapes));
  const clientShapes = shapes.filter(({ name }) => name === CLIENTS);
  const clients = async (ids: readonly number[]): Promise<SplitRows[]> => {
    const known = plans.map((plan) => ({ ...plan, parameters: { ...plan.parameters, message_client_ids: ids } }));
    return (await Promise.all(clientShapes.map((shape) => splitRows(later, source, known, shape)))).flatMap((each) => each ?? []);
  };
  const { rows: [server] } = await session.query<{ encoding: string }>(`SELECT current_setting('server_encoding') AS encoding`);
  return { encoding: server?.encoding ?? 'UTF8', path: await usersSchemas(session), rows, messages, clients, expected: { messages: 0 }, references: await references(session, source.schema) };
}

interface StartedFiles {
  /** From now on they are what is narrated: while rows come they are not. */
  readonly tell: () => void;
  readonly result: Promise<SplitFiles | undefined>;
  /** Resolves when no more rows are asked for, whatever came of it. */
  readonly done: Promise<void>;
  readonly stop: (reason: unknown) => Promise<void>;
}

async function startFiles(snapshot: Snapshot, session: pg.Client, source: Source, plans: readonly ExportPlan[], request: FilesRequest | undefined): Promise<StartedFiles> {
  if (request === undefined) return { tell: () => undefined, result: Promise.resolve(undefined), done: Promise.resolve(), stop: () => Promise.resolve() };
  const stopped = new AbortController();
  const signal = AbortSignal.any([snapshot.lost, stopped.signal]);
  const places = await openPlaces(request, signal);
  let telling = false;
  const onFile = (bytes: number): void => { if (telling) tellProgress(1, bytes); };
  const result = withSession(snapshot, 'split', async (lookups) => {
    await useSchema(lookups, source.schema);
    return splitFiles(session, lookups, source, plans, { ...request, onFile }, places, signal);
  });
  const done = result.then(() => undefined, () => undefined);
  return {
    result, done,
    tell: () => {
      telling = true;
      tellPhase(SPLIT_FILES, 'files');
    },
    stop: async (reason) => {
      stopped.abort(reason);
      await done;
    },
  };
}
