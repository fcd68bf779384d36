/** A split between its plan and its place. */
import type { Source } from '../plan/source.js';
import type { CutReference } from './cut-references.js';
import type { Reference } from './split-columns.js';
import type { MessageQueries, SplitRows } from './split-rows.js';
import type { SchemaSource } from './split-schema.js';

/** What a split consists of, before it goes anywhere. */
export interface PreparedSplit extends SchemaSource {
  readonly realms: readonly string[];
  readonly source: Source;
  /** Schemas in which the database's functions find what they name without one. */
  readonly path: readonly string[];
  readonly rows: readonly SplitRows[];
  readonly messages: readonly MessageQueries[];
  /** Rows of the clients, once all messages have come. @param ids of theirs */
  readonly clients: (ids: readonly number[]) => Promise<SplitRows[]>;
  readonly references: readonly Reference[];
  /** Counted for those who want to know how far it is. */
  readonly expected: { messages: number };
}

/** What came of it where it went. */
export interface SplitOutcome {
  readonly tables: number;
  readonly rows: number;
  /** References to rows that stayed. */
  readonly cut: readonly CutReference[];
  /** What was left out of the schema. */
  readonly warnings: readonly string[];
}

/** Told by whoever writes. */
export interface SplitSteps {
  /** Something is there that was not. */
  begun(): void;
  /** The snapshot is needed no more. */
  read(): void;
}
