/** What the export says of its realm, and a load needs before or after its row. */
import { EXIT, RealmliftError } from '../../errors.js';
import type { TableFile } from '../../pipe/table-file.js';
import { timestamp } from '../../timestamp.js';

/** What the export says of the realm, and the load held back. */
export interface RealmState {
  readonly id: number;
  readonly deactivated: boolean;
  /** As exported; undefined where the server has no such column. */
  readonly scheduledDeletion: string | null | undefined;
  readonly planType: number;
}

/** @param id the realm's new id */
export function realmState(files: readonly TableFile[], id: number): RealmState {
  const row = realmRow(files);
  const deletion = row['scheduled_deletion_date'];
  return {
    id, deactivated: row['deactivated'] === true, planType: typeof row['plan_type'] === 'number' ? row['plan_type'] : 1,
    scheduledDeletion: deletion === undefined ? undefined : typeof deletion === 'string' ? deletion : typeof deletion === 'number' ? timestamp(deletion) : null,
  };
}

/** @throws RealmliftError NOT_ONE_REALM */
export function realmRow(files: readonly TableFile[]): Readonly<Record<string, unknown>> {
  const rows: Record<string, unknown>[] = [];
  for (const file of files) for (const row of file.rows('zerver_realm')) rows.push(JSON.parse(row.toString('utf8')) as Record<string, unknown>);
  const [only] = rows;
  if (only === undefined || rows.length > 1) throw new RealmliftError('NOT_ONE_REALM', 'load', `the export holds ${rows.length} realms, and a load takes one`, { exit: EXIT.nothingExported });
  return only;
}
