/** Files of an export while it is made, each known by what it was when it was finished. */
import type { JournalPart } from '../../package/journal.js';

/** A finished file, safe on disk. */
export interface FinishedPart extends Pick<JournalPart, 'path' | 'size' | 'sha256' | 'clients' | 'ids' | 'inode' | 'etag' | 'base' | 'mended'> {
  readonly rows: Readonly<Record<string, number>>;
}

/** What the journal says of a file that an earlier run finished. */
export interface EarlierPart extends FinishedPart {
  /** Made out of the present snapshot by the same query: intact on disk is enough. */
  readonly certain: boolean;
}

/** A file of a base. */
export interface BasePart extends FinishedPart {
  /** Made by the same queries as now. */
  readonly sameQuery: boolean;
}

/** With every field named: of each it is to be decided whether what was true of the file there is so here. */
export type EveryField<Part> = { readonly [field in keyof Required<Part>]: Part[field] };
