/**
 * `realmlift plan`: what exports would take, by which rules, what they would leave and what the schema has that nothing
 * classifies. It reads ids and counts, no message content.
 */
import { RealmliftError } from '../errors.js';
import { tellPhase, tellProgress } from '../narration.js';
import { holdExportedTables } from '../plan/hold-tables.js';
import type { ExportRequest } from '../plan/plan-export.js';
import { canJoinSet } from '../plan/plan-set.js';
import { useSchema } from '../plan/search-path.js';
import { readSource } from '../plan/source.js';
import { findTargets, type TargetRequest } from '../plan/targets.js';
import { COUNTING, planMany } from '../planning/plan-many.js';
import { planOne } from '../planning/plan-one.js';
import type { Planned } from '../planning/planned-export.js';
import type { ConnectionSettings } from '../snapshot/connection-settings.js';
import { withSession, withSnapshot } from '../snapshot/snapshot.js';
import type { LockPatience } from '../snapshot/table-locks.js';

export interface PlanOptions {
  readonly settings: ConnectionSettings;
  readonly targets: TargetRequest;
  readonly patience: LockPatience;
  readonly zulipVersion: string | undefined;
  readonly request: Omit<ExportRequest, 'realm' | 'userId' | 'approved' | 'seed'>;
}

/**
 * @returns a plan for each target, or why its export would be refused
 * @throws RealmliftError what would end the whole run; what the export of the only target would be refused for
 */
export async function planReport(options: PlanOptions, onUnknown: (why: string) => void): Promise<Planned[]> {
  return withSnapshot(options.settings, (snapshot) => holdExportedTables(snapshot, options.patience).then(({ session }) => session).then(() => withSession(snapshot, 'plan', async (session) => {
    const source = await readSource(snapshot.client, options.zulipVersion);
    await useSchema(session, source.schema);
    const targets = await findTargets(snapshot.client, options.targets, onUnknown);
    const together = options.request.mode === 'full' ? targets.filter(({ realm, userId }) => userId === undefined && canJoinSet(realm)) : [];
    const set = together.length > 1 ? together : [];
    const planned = new Map<string, Planned>();
    if (set.length > 0) tellPhase(COUNTING, 'tables');
    for (const each of await planMany(session, source, set, options.request)) planned.set(each.target, each);
    const others = targets.filter(({ name }) => !planned.has(name));
    if (others.length > 0) tellPhase('realms', 'realms', others.length);
    for (const target of others) {
      try {
        planned.set(target.name, await planOne(session, source, target, options.request));
      } catch (error) {
        if (targets.length === 1 || !(error instanceof RealmliftError)) throw error;
        planned.set(target.name, { target: target.name, mode: options.request.mode, refused: error });
      }
      tellProgress(1);
    }
    return targets.map(({ name }) => planned.get(name) as Planned);
  })));
}
