/** Plans of many exports: one line a realm, the largest first, what would be refused, and what all of it comes to. */
import { counted, size, thousands, time } from '../../numbers.js';
import type { Planned, PlannedExport } from '../../planning/planned-export.js';
import { painter } from './colour.js';
import { serverWide } from './plan-details.js';

export interface PlanTotals {
  readonly realms: number;
  readonly users: number;
  readonly messages: number;
  readonly files: number;
  readonly disk: number;
  readonly stays: number;
  /** Seconds with two sessions, without the files; estimated. */
  readonly seconds: number;
  /** Bytes that are free where the output would go. */
  readonly free: number;
}

/** Seconds that each realm of a run of many takes beside its rows; of small ones 0.013 to 0.043 were measured. */
const PER_REALM = 0.05;

/** Widths of the columns of numbers; the names get what is left of 79. */
const COLUMNS = { users: 9, messages: 12, files: 9, disk: 11, stays: 9 } as const;
const NAMES = 26;

export function isPlanned(plan: Planned): plan is PlannedExport {
  return !('refused' in plan);
}

export function planTotals(plans: readonly PlannedExport[], free: number): PlanTotals {
  const sum = (of: (plan: PlannedExport) => number): number => plans.reduce((total, plan) => total + of(plan), 0);
  return {
    realms: plans.length, users: sum(({ users }) => users), messages: sum(({ messages }) => messages), files: sum(({ files }) => files.uploads), disk: sum(({ disk }) => disk), stays: sum(stays),
    seconds: plans.length < 2 ? sum(({ seconds }) => seconds) : 1 + sum(({ seconds }) => seconds - 1) + PER_REALM * plans.length, free,
  };
}

/** @param place where the output would go */
export function planTable(plans: readonly Planned[], totals: PlanTotals, place: string): string {
  const paint = painter(process.stdout);
  const good = plans.filter(isPlanned).sort((a, b) => b.disk - a.disk || (a.target < b.target ? -1 : 1));
  const lines = [
    paint('bold', line('realm', 'users', 'messages', 'files', 'disk', 'stays')),
    ...good.map((plan) => line(plan.target, thousands(plan.users), thousands(plan.messages), thousands(plan.files.uploads), size(plan.disk), thousands(stays(plan)))),
    paint('bold', line(`${thousands(totals.realms)} in all`, thousands(totals.users), thousands(totals.messages), thousands(totals.files), size(totals.disk), thousands(totals.stays))),
    ...good.slice(0, 1).flatMap(serverWide),
    `disk: about ${size(totals.disk)} of ${size(totals.free)} that are free at ${place}; about ${time(totals.seconds)}, and the time of the files`,
    ...(totals.stays > 0 ? ['what stays, and why: --verbose, or name one realm'] : []),
    ...(totals.disk > totals.free ? [paint('red', `! there is no room for it at ${place}`)] : []),
    ...refusals(plans).map((text) => paint('red', text)),
  ];
  return `${lines.join('\n')}\n`;
}

function line(name: string, users: string, messages: string, files: string, disk: string, stays: string): string {
  const shown = name.length > NAMES ? `${name.slice(0, NAMES - 1)}…` : name;
  return `${shown.padEnd(NAMES)}${users.padStart(COLUMNS.users)}${messages.padStart(COLUMNS.messages)}${files.padStart(COLUMNS.files)}${disk.padStart(COLUMNS.disk)}${stays.padStart(COLUMNS.stays)}`;
}

function stays({ leftOut }: PlannedExport): number {
  return leftOut.reduce((sum, { rows }) => sum + rows, 0);
}

/** Those that would be refused for the same reason share a line. */
function refusals(plans: readonly Planned[]): string[] {
  const reasons = new Map<string, string[]>();
  for (const plan of plans) {
    if (isPlanned(plan)) continue;
    const { code, message, hint } = plan.refused;
    const reason = `${code}: ${message}${hint === undefined ? '' : ` (${hint})`}`;
    reasons.set(reason, [...(reasons.get(reason) ?? []), plan.target]);
  }
  return [...reasons].map(([reason, names]) => `! ${counted(names.length, 'export')} would be refused: ${names.join(', ')}: ${reason}`);
}
