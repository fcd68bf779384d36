/** A split between its plan and its place. */
import type { Source } from '../plan/source.js';
import type { Snapshot } from '../snapshot/snapshot.js';
import type { CutReference } from './cut-references.js';
import type { Reference } from './split-columns.js';
import type { SplitRows } from './split-rows.js';

/** What a split consists of, before it goes anywhere. */
export interface PreparedSplit {
  readonly snapshot: Snapshot;
  readonly source: Source;
  readonly pgDump: string;
  /** Of the source. */
  readonly encoding: string;
  /** Schemas in which the database's functions find what they name without one. */
  readonly path: readonly string[];
  readonly rows: readonly SplitRows[];
  /** How many messages of all. */
  readonly messages: number;
  readonly references: readonly Reference[];
}

/** What came of it where it went. */
export interface SplitOutcome {
  readonly tables: number;
  readonly rows: number;
  /** References to rows that stayed. */
  readonly cut: readonly CutReference[];
  /** What needs a superuser, and was left out. */
  readonly warnings: readonly string[];
}
