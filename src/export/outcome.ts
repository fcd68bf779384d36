/** What becomes of the targets of a run. */
import type { RealmliftError } from '../errors.js';
import type { Target } from '../plan/targets.js';
import type { VerifyReport } from '../verify/verify-export.js';
import type { RealmResult } from './realm-run.js';

export interface ExportResult extends RealmResult {
  readonly directory: string;
  /** What verify found when it read the export again; undefined when it was not asked to. */
  readonly verified: VerifyReport | undefined;
  /** Objects that workers stored in a bucket, each of which was there in the end with its size and ETag; such an export is not read again. */
  readonly stored?: number | undefined;
  /** Of a remapped export, how many references point outside and stayed as they are. */
  readonly outside: number | undefined;
}

/** What became of one target. */
export type Outcome =
  | { readonly target: Target; readonly result: ExportResult }
  | { readonly target: Target; readonly error: RealmliftError };
