/** Full exports of many realms, counted together: each table is read once for all of them, as the export itself does. */
import type pg from 'pg';
import { closeSet } from '../export/references/close-references.js';
import { LOST_ATTACHMENTS } from '../export/lost-attachments.js';
import { wantedQuery } from '../export/set/set-wanted.js';
import { areasOf } from '../export/wanted/wanted.js';
import { holdsAllUploads } from '../export/wanted/wanted-rows.js';
import { tellProgress, tellTotal } from '../narration.js';
import { planExport, type ExportRequest } from '../plan/plan-export.js';
import { planSet, setQuery, type SetPlan } from '../plan/plan-set.js';
import { TENANT } from '../plan/views/set-form.js';
import type { Source } from '../plan/source.js';
import type { Target } from '../plan/targets.js';
import { ESTIMATED, plannedExport, type Planned } from './planned-export.js';

/** Numbers by realm. */
type ByRealm = ReadonlyMap<number, number>;

/** The step in which they are counted. */
export const COUNTING = 'tables';

/** @param targets realms that canJoinSet */
export async function planMany(session: pg.Client, source: Source, targets: readonly Target[], request: Omit<ExportRequest, 'realm' | 'userId' | 'approved' | 'seed'>): Promise<Planned[]> {
  const [first] = targets;
  if (first === undefined) return [];
  const { plan, refused } = await closeSet(session, planSet(source, targets.map(({ realm }) => realm), request.decisions, [], false), source);
  // But for the realm a full plan is the same for all.
  const one = await planExport(session, source, { ...request, realm: first.realm, userId: undefined, approved: undefined, seed: '' });
  const common = { ...one, compiled: { ...one.compiled, ledger: plan.compiled.ledger } };

  const tables = plan.tables.filter(({ name }) => !ESTIMATED.has(name));
  const ledger = plan.compiled.ledger.filter(({ name }) => name !== LOST_ATTACHMENTS);
  tellTotal(COUNTING, tables.length + ledger.length + 1);
  const counted = new Map<string, ByRealm>();
  for (const { name } of tables) counted.set(name, await counts(session, plan, name === 'zerver_message' ? plan.compiled.messageIds : plan.compiled.tables.get(name)));
  const stays = new Map<string, ByRealm>();
  for (const view of ledger) stays.set(view.name, await counts(session, plan, view));
  const uploads = areasOf(one, source).includes('uploads') ? await uploadsOf(session, plan, source) : new Map<number, { uploads: number; bytes: number }>();
  const clients = Number((await session.query<{ n: string }>('SELECT count(*) AS n FROM zerver_client')).rows[0]?.n);

  return targets.map(({ name, realm }): Planned => {
    const refusal = refused.get(realm.id);
    if (refusal !== undefined) return { target: name, mode: request.mode, refused: refusal };
    const of = (numbers: ByRealm | undefined): number => numbers?.get(realm.id) ?? 0;
    return plannedExport(name, common, source, {
      messages: of(counted.get('zerver_message')), rows: (table) => (table === 'zerver_client' ? clients : of(counted.get(table))), stays: (view) => of(stays.get(view)),
      uploads: uploads.get(realm.id) ?? { uploads: 0, bytes: 0 },
    });
  });
}

async function counts(session: pg.Client, plan: SetPlan, view: Parameters<typeof setQuery>[0] | undefined): Promise<ByRealm> {
  if (view === undefined) return new Map();
  const { rows } = await session.query<{ realm: number; n: number }>(`SELECT q.${TENANT}::float8 AS realm, count(*)::float8 AS n FROM (${setQuery(view, plan)}) AS q GROUP BY 1`);
  tellProgress(1);
  return new Map(rows.map(({ realm, n }) => [realm, n]));
}

async function uploadsOf(session: pg.Client, plan: SetPlan, source: Source): Promise<Map<number, { uploads: number; bytes: number }>> {
  const { select } = wantedQuery('wanted-uploads', plan, plan.parameters.realm_ids, holdsAllUploads(source));
  const { rows } = await session.query<{ realm: number; n: number; bytes: number | null }>(`SELECT q.${TENANT}::float8 AS realm, count(*)::float8 AS n, sum(q.size)::float8 AS bytes FROM (${select}) AS q GROUP BY 1`);
  tellProgress(1);
  return new Map(rows.map(({ realm, n, bytes }) => [realm, { uploads: n, bytes: bytes ?? 0 }]));
}
