/** The plans of a split: of each realm that of its export. */
import { randomBytes } from 'node:crypto';
import type pg from 'pg';
import { tellPhase, tellProgress, tellWarning } from '../narration.js';
import type { Decisions } from '../plan/views/compile-view.js';
import type { Mode } from '../plan/views/condition.js';
import { planExport, type ExportPlan } from '../plan/plan-export.js';
import type { Source } from '../plan/source.js';
import type { Target } from '../plan/targets.js';
import { refusedAttachments } from './split-uploads.js';

/** Whose data travel, and which. */
export interface SplitChoices {
  readonly mode: Mode;
  readonly consentMessage: number | undefined;
  /** With approved users: only their files travel, and no row of others'. */
  readonly approvedFilesOnly: boolean;
  /** Whether uploaded avatars travel; else their users have none. */
  readonly avatars: boolean;
  readonly force: boolean;
  readonly decisions: Decisions;
}

export interface SplitPlan extends ExportPlan {
  /** Users whose files alone travel; undefined for all. */
  readonly owners: ReadonlySet<number> | undefined;
}

/** The step in which they are made. */
export const PLAN = 'plan';

/** @param session finds the source's tables */
export async function planSplit(session: pg.Client, source: Source, targets: readonly Target[], choices: SplitChoices): Promise<SplitPlan[]> {
  tellPhase(PLAN, 'realms', targets.length);
  const seed = randomBytes(32).toString('hex');
  const plans: SplitPlan[] = [];
  for (const target of targets) {
    plans.push(await planned(session, source, target, choices, seed));
    tellProgress(1);
  }
  for (const warning of unclassified(plans)) tellWarning(warning);
  return plans;
}

async function planned(session: pg.Client, source: Source, { realm, approved }: Target, { mode, decisions, consentMessage, force, avatars, approvedFilesOnly }: SplitChoices, seed: string): Promise<SplitPlan> {
  const plan = await planExport(session, source, {
    realm, mode, userId: undefined, decisions, consentMessage, approved: mode === 'consent' ? approved : undefined, force, seed,
    avatars: !avatars ? 'none' : approved !== undefined && approvedFilesOnly ? 'consenting' : 'all',
  });
  const owners = plan.request.approved !== undefined && approvedFilesOnly ? new Set(plan.parameters.consenting_user_ids) : undefined;
  return { ...plan, owners, parameters: { ...plan.parameters, missing_attachment_ids: await refusedAttachments(session, source, plan, owners) } };
}

/** What no release that is known has: tables stay, columns travel. */
function unclassified([plan]: readonly ExportPlan[]): string[] {
  const { unknownTables = [], unknownColumns = [] } = plan?.review ?? {};
  return [
    ...(unknownTables.length === 0 ? [] : [`unknown tables, which are empty in the split: ${unknownTables.join(', ')}`]),
    ...(unknownColumns.length === 0 ? [] : [`unknown columns, which travel: ${unknownColumns.join(', ')}`]),
  ];
}
