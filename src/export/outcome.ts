/** What becomes of the targets of a run. */
import type { RealmliftError } from '../errors.js';
import type { AreaTally } from '../files/file-events.js';
import { AREAS, type Area } from '../package/export-files.js';
import { sum } from '../numbers.js';
import type { Target } from '../plan/targets.js';
import type { Remapped } from '../package/remapped.js';
import type { VerifyReport } from '../verify/verify-export.js';
import type { RealmResult } from './realm-run.js';

/** Where an export is when somebody goes on with it, and how its commands name it. */
export interface Place {
  /** The directory, as commands name it. */
  readonly directory: string;
  /** What brings the export there first, where it was stored or sent elsewhere. */
  readonly fetch?: string | undefined;
}

export interface ExportResult extends RealmResult {
  /** In words, where it went elsewhere than into a directory. */
  readonly directory: string;
  /** Default: the directory. */
  readonly place?: Place;
  /** What verify found when it read the export again; undefined when it was not asked to. */
  readonly verified: VerifyReport | undefined;
  /** Objects that workers stored in a bucket, each of which was there in the end with its size and ETag; such an export is not read again. */
  readonly stored?: number | undefined;
  /** Of one that was rewritten for the new server. */
  readonly remapped: Remapped | undefined;
}

/** An export that was whole before the run began: what it and its report say. */
export interface EarlierExport {
  readonly directory: string;
  /** Its own, which is an earlier one than the run's. */
  readonly snapshot: { readonly id: string; /** ISO 8601. */ readonly takenAt: string };
  /** By table. */
  readonly rows: Readonly<Record<string, number>>;
  readonly files: Readonly<Record<Area, AreaTally>>;
  readonly leftOut: readonly { readonly reason: string; readonly count: number }[];
  readonly warnings: readonly string[];
  /** It was read again when it was made. */
  readonly verified: boolean;
}

/** What became of one target. */
export type Outcome<T = Target> =
  | { readonly target: T; readonly result: ExportResult }
  | { readonly target: T; readonly earlier: EarlierExport }
  | { readonly target: T; readonly error: RealmliftError };

/** Of an export that is there. */
export type Made<T = Target> = Exclude<Outcome<T>, { readonly error: RealmliftError }>;

/** What a page or a manifest says of a target. */
export type ListedTarget = Pick<Target, 'name' | 'directory' | 'userId'> & { readonly realm: Pick<Target['realm'], 'stringId'> };

/** Where it is. */
export function directoryOf(made: Made<unknown>): string {
  return 'earlier' in made ? made.earlier.directory : made.result.directory;
}

/** The same export at another place, to be told. @param directory in words */
export function placedAt(made: Made, directory: string, place: Place): Made {
  return 'earlier' in made ? { ...made, earlier: { ...made.earlier, directory } } : { ...made, result: { ...made.result, directory, place } };
}

/** Rows of all its tables; none of one that failed. */
export function rowsOf(outcome: Outcome<unknown>): number {
  const rows = 'error' in outcome ? [] : 'earlier' in outcome ? Object.values(outcome.earlier.rows) : [...outcome.result.rows.values()];
  return sum(rows);
}

/** Files that are in it. */
export function filesOf(outcome: Outcome<unknown>): number {
  return 'error' in outcome ? 0 : sumOf(outcome, ({ found }) => found);
}

/** Files that should be in it and are not. */
export function lostOf(outcome: Outcome<unknown>): number {
  return 'error' in outcome ? 0 : sumOf(outcome, ({ missing, failed }) => missing + failed);
}

/** Files that are not whole in it. One with odd metadata is, and one whose owner may not travel is not meant to be. */
export function lossesOf(outcome: Outcome<unknown>): number {
  return 'error' in outcome ? 0 : sumOf(outcome, ({ missing, failed, otherSize }) => missing + failed + otherSize);
}

function sumOf(outcome: Made<unknown>, of: (tally: AreaTally) => number): number {
  const files = 'earlier' in outcome ? outcome.earlier.files : outcome.result.files.areas;
  return AREAS.reduce((sum, area) => sum + of(files[area]), 0);
}
