/**
 * One realm, or some, as a database of its own: schema, rows with their ids, and what a server needs to run, out of one snapshot.
 *
 * 1. The schema comes from the server's own pg_dump in the snapshot; nobody's role and no right is taken along.
 * 2. Rows flow from COPY to COPY, table by table, by the views of an export (split-rows.ts).
 * 3. What refers to rows that stayed is nulled, or left out where it must refer to something, and counted.
 * 4. Sequences stand as at the source; indexes and constraints follow, and event triggers last.
 */
import { randomBytes } from 'node:crypto';
import type pg from 'pg';
import { checkPgDump } from '../backup/pg-dump.js';
import { INDEXES } from '../backup/restore-post-data.js';
import { tellAhead, tellPhase, tellProgress, tellWarning } from '../narration.js';
import type { Decisions } from '../plan/compile-view.js';
import type { Mode } from '../plan/condition.js';
import { holdExportedTables } from '../plan/hold-tables.js';
import { planExport, type ExportPlan } from '../plan/plan-export.js';
import { messageIdsQuery } from '../plan/plan-tables.js';
import { findRealm, SYSTEM_REALM, type Realm } from '../plan/realm.js';
import { useSchema } from '../plan/search-path.js';
import { readSource, type Source } from '../plan/source.js';
import { findTargets, type TargetRequest } from '../plan/targets.js';
import type { ConnectionSettings } from '../snapshot/connection-settings.js';
import { withSession, withSnapshot } from '../snapshot/snapshot.js';
import type { LockPatience } from '../snapshot/table-locks.js';
import { usersSchemas } from '../snapshot/unqualified-names.js';
import { intoDatabase } from './into-database.js';
import type { PreparedSplit, SplitOutcome } from './prepared-split.js';
import { intoScript, type Write } from './into-script.js';
import { references, tableShapes } from './split-columns.js';
import { splitFiles, type FilesRequest, type SplitFiles } from './split-files.js';
import { SPLIT_FILES, SPLIT_ROWS } from './split-progress.js';
import { splitRows } from './split-rows.js';

export interface SplitRequest {
  readonly settings: ConnectionSettings;
  /** The empty database, or what takes a script for one. */
  readonly to: { readonly kind: 'database'; readonly settings: ConnectionSettings } | { readonly kind: 'script'; readonly write: Write };
  readonly files: FilesRequest | undefined;
  readonly patience: LockPatience;
  readonly signal: AbortSignal | undefined;
  readonly targets: TargetRequest;
  readonly mode: Mode;
  readonly consentMessage: number | undefined;
  readonly force: boolean;
  readonly decisions: Decisions;
  readonly zulipVersion: string | undefined;
  readonly jobs: number;
  readonly pgDump: string;
}

export interface SplitResult extends SplitOutcome {
  readonly realms: readonly string[];
  /** Undefined when nobody asked for files. */
  readonly files: SplitFiles | undefined;
}

/** @throws RealmliftError REALM_UNKNOWN, NO_OWNER, PG_DUMP_MISSING, DATABASE_NOT_EMPTY, … */
export async function splitRealms(request: SplitRequest): Promise<SplitResult> {
  return withSnapshot(request.settings, async (snapshot) => {
    await Promise.all([holdExportedTables(snapshot, request.patience), checkPgDump(request.pgDump, snapshot.serverVersion)]);
    const source = await readSource(snapshot.client, request.zulipVersion, request.decisions.strip);
    const targets = await findTargets(snapshot.client, request.targets, tellWarning);
    tellAhead([{ name: 'plan', weight: 1 }, { name: SPLIT_ROWS, weight: 60 }, ...(request.to.kind === 'database' ? [{ name: INDEXES, weight: 30 }] : []), ...(request.files === undefined ? [] : [{ name: SPLIT_FILES, weight: 30 }])]);
    tellPhase('plan', 'realms', targets.length + 1);
    return withSession(snapshot, 'plan', async (session) => {
      await useSchema(session, source.schema);
      const seed = randomBytes(32).toString('hex');
      const plans: ExportPlan[] = [];
      let messages = 0;
      for (const { realm, approved } of targets) {
        const { plan, sent } = await planned(session, source, request, seed, realm, request.mode, approved);
        plans.push(plan);
        messages += sent;
      }
      const { plan: system } = await planned(session, source, request, seed, await findRealm(session, SYSTEM_REALM), 'full', undefined);
      const { rows: [server] } = await session.query<{ encoding: string }>(`SELECT current_setting('server_encoding') AS encoding`);
      const split: PreparedSplit = {
        messages, snapshot, source, pgDump: request.pgDump, encoding: server?.encoding ?? 'UTF8', path: await usersSchemas(session),
        rows: await splitRows(session, source, plans, system, await tableShapes(session, source.schema)), references: await references(session, source.schema),
      };
      const outcome = request.to.kind === 'database' ? await intoDatabase(split, request.to.settings, request.jobs) : await intoScript(split, request.to.write);
      const files = request.files === undefined ? undefined : await splitFiles(session, source, plans, request.files, snapshot.lost);
      return { realms: targets.map(({ name }) => name), ...outcome, files };
    });
  }, { signal: request.signal });
}

async function planned(session: pg.Client, source: Source, request: SplitRequest, seed: string, realm: Realm, mode: Mode, approved: readonly number[] | undefined): Promise<{ plan: ExportPlan; sent: number }> {
  const plan = await planExport(session, source, {
    realm, mode, userId: undefined, decisions: request.decisions, consentMessage: request.consentMessage, approved: mode === 'consent' ? approved : undefined, force: request.force, seed,
  });
  const ids = messageIdsQuery(plan.compiled, plan.parameters);
  tellProgress(1);
  const { rows } = await session.query<{ id: number; sent: number }>(`SELECT m.sending_client_id::float8 AS id, count(*)::float8 AS sent FROM zerver_message m WHERE m.id IN (${ids}) GROUP BY 1`);
  return { plan: { ...plan, parameters: { ...plan.parameters, message_client_ids: rows.map(({ id }) => id) } }, sent: rows.reduce((sum, { sent }) => sum + sent, 0) };
}
