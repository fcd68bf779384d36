/** A plan of one export, table by table. */
import { counted, size, thousands, time } from '../../numbers.js';
import type { PlannedExport } from '../../planning/planned-export.js';

export function planText(plan: PlannedExport): string {
  const { zulip, tables, files, leftOut } = plan;
  const lines = [
    `${plan.target} (${plan.mode}): Zulip ${zulip.release}, rules of migration ${zulip.rules_of_migration}`,
    `  ${zulip.evidence}`,
    ...tables.filter(({ rows }) => rows > 0).map(({ table, rows, bytes, estimated }) => `  ${table.padEnd(34)} ${`${estimated ? 'about ' : ''}${thousands(rows)}`.padStart(18)} ${rows === 1 ? 'row ' : 'rows'}  about ${size(bytes)}`),
    `  ${'uploaded files'.padEnd(34)} ${thousands(files.uploads).padStart(18)}       ${size(files.bytes)}`,
    `  ${counted(plan.messageFiles, 'messages file')}; about ${size(plan.disk)} of disk, about ${time(Math.ceil(plan.seconds)).replace('.0 ', ' ')} and the time of the files`,
    ...leftOut.map(({ reason, rows, what }) => `  stays: ${thousands(rows)} ${what}: ${reason}`),
    ...serverWide(plan).map((line) => `  ${line}`),
    ...Object.entries(plan.rules).filter(([, rule]) => rule !== 'otherwise').map(([name, rule]) => `  rule: ${name}: ${rule}`),
  ];
  return `${lines.join('\n')}\n`;
}

/** Lines about what is the same for all realms of a server. */
export function serverWide({ stripped, unknownTables, unknownColumns }: PlannedExport): string[] {
  return [
    ...(stripped.length > 0 ? [`secrets left out: ${stripped.join(', ')}`] : []),
    ...(unknownTables.length > 0 ? [`tables that nothing classifies, not exported: ${unknownTables.join(', ')}`] : []),
    ...(unknownColumns.length > 0 ? [`columns that no known release has, exported: ${unknownColumns.join(', ')}`] : []),
  ];
}
