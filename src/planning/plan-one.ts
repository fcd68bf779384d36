/** One realm's export, counted by its own queries: in every mode. */
import type pg from 'pg';
import { closeReferences } from '../export/references/close-references.js';
import { areasOf } from '../export/wanted/wanted.js';
import { uploadsQuery } from '../export/wanted/wanted-rows.js';
import { planExport, type ExportRequest } from '../plan/plan-export.js';
import { ledgerQuery, messageIdsQuery, queryOf } from '../plan/plan-tables.js';
import type { Source } from '../plan/source.js';
import type { Target } from '../plan/targets.js';
import { plannedExport, type PlannedExport } from './planned-export.js';

/** @throws RealmliftError as an export would, before any row leaves */
export async function planOne(session: pg.Client, source: Source, target: Target, request: Omit<ExportRequest, 'realm' | 'userId' | 'approved' | 'seed'>): Promise<PlannedExport> {
  const plan = await closeReferences(session, await planExport(session, source, { ...request, realm: target.realm, userId: target.userId, approved: target.approved, seed: '' }), source);
  const count = async (query: string): Promise<number> => Number((await session.query<{ n: string }>(`SELECT count(*) AS n FROM (${query}) AS q`)).rows[0]?.n);
  const clients = (await session.query<{ id: number }>('SELECT id::float8 AS id FROM zerver_client')).rows.map(({ id }) => id);
  const messages = await count(messageIdsQuery(plan.compiled, plan.parameters));
  const rows = new Map<string, number>();
  for (const table of plan.tables) {
    if (table.file === 'messages' && table.name !== 'zerver_reaction') continue;
    rows.set(table.name, await count(queryOf(table, plan.compiled, { ...plan.parameters, message_client_ids: clients })));
  }
  const stays = new Map<string, number>();
  for (const view of plan.compiled.ledger) stays.set(view.name, await count(ledgerQuery(view, plan.compiled, plan.parameters)));
  const sizes = !areasOf(plan, source).includes('uploads') ? undefined
    : (await session.query<{ n: string; bytes: string | null }>(`SELECT count(*) AS n, sum(q.size) AS bytes FROM (${uploadsQuery(plan, source)}) AS q`)).rows[0];
  return plannedExport(target.name, plan, source, {
    messages, rows: (table) => rows.get(table) ?? 0, stays: (view) => stays.get(view) ?? 0, uploads: { uploads: Number(sizes?.n ?? 0), bytes: Number(sizes?.bytes ?? 0) },
  });
}
