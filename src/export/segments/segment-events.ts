/** What the work on a segment tells while it goes on. */
import type { FinishedPart } from './finished-part.js';
import type { Progress } from './row-query.js';
import type { DealtRows } from './set-segments.js';

/** What a segment tells. */
export interface SegmentEvents {
  /** A file is finished, or was already and `kept`. */
  readonly onPart: (part: FinishedPart, kept: boolean) => void;
  /** A file that an earlier run finished is not what it was. */
  readonly onDamaged: (path: string) => void;
  readonly onProgress: (progress: Progress) => void;
  /** What ids there are, in their order; undefined where there are too many. See ids-segment.ts. */
  readonly onIds: (ids: readonly number[] | undefined) => void;
  /** The rows of a set are in their spool. */
  readonly onDealt: (dealt: DealtRows) => void;
}
