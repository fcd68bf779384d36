/** Who does the segments of a run: the seam between the plan and the threads, or other machines, that work on it. */
import type { Assignment, WorkerMessage } from './segment-worker.js';

/** What a segment tells while it is worked on. */
export type SegmentMessage = Exclude<WorkerMessage, { kind: 'opened' | 'done' | 'failed' }>;

export interface SegmentWorkers {
  /** Segments can be done; rejects with why they cannot. */
  readonly opened: Promise<void>;
  /** Segments that are done at once. */
  readonly threads: number;
  /** Segments that may be waiting or under way, so that nobody has to wait for one to be made. */
  readonly backlog: number;
  /**
   * Has one segment done by whoever is free next.
   *
   * @param weight expected bytes: the largest segment starts first
   * @param signal drops the segment, also when it has begun
   * @throws RealmliftError what the segment failed with
   */
  run(assignment: Assignment, weight: number, signal: AbortSignal, onMessage: (message: SegmentMessage) => void): Promise<void>;
  /** No segment will need the database any more. */
  letGo(): void;
  /** Ends the work, whatever is being done. */
  close(): Promise<void>;
}
