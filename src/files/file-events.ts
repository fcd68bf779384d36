/**
 * What the files stage tells while it works: one event for each file that is whole and for each thing that the ledger
 * must name. Events carry keys, ids and sizes, never contents.
 */
import type { Area } from '../package/export-files.js';
import type { FileRecord } from './records.js';

/** Why a wanted file is not in the export. */
export type LossReason =
  | 'absent'        // no such object or file
  | 'forbidden'     // the store refuses to hand it out
  | 'unreadable'    // no right to read it, or not a regular file
  | 'outside'       // a symbolic link leads out of the uploads directory
  | 'unsafe-name'   // the key cannot be a path inside the export
  | 'collision'     // its path is taken by another file of the export
  | 'changed'       // it kept changing while it was read
  | 'corrupt'       // its bytes do not match its length or checksum, on every attempt
  | 'fault'         // the store failed on every attempt
  | 'timeout';      // no bytes for longer than the time allowed, on every attempt

/** What is wrong with an object's metadata; the record then says what the database says. */
export type MetadataProblem = 'absent' | 'foreign' | 'contradictory';

/** Where the owner in the record came from when the metadata could not be believed. */
export type OwnerSource = 'attachment row' | 'avatar hash' | 'emoji row' | 'nobody';

export interface FileDone {
  readonly kind: 'file';
  readonly area: Area;
  /** Relative to the export's directory, e.g. `uploads/2/ab/xyz/report.pdf`. */
  readonly path: string;
  readonly size: number;
  /** Hexadecimal. */
  readonly sha256: string;
  /** Its entry in records.json, which a resumed run needs again. */
  readonly record: FileRecord;
  /** Set where the record does not say what the object's metadata say. */
  readonly oddMetadata?: { readonly problem: MetadataProblem; readonly ownerFrom: OwnerSource } | undefined;
  /** True when an earlier run fetched it and it was not fetched again. */
  readonly resumed: boolean;
  /** What tells it from another file of its name, see FetchedOnce. */
  readonly identity?: string | undefined;
  /** ETag of the object that it is, where it is not in the export's directory. */
  readonly etag?: string | undefined;
  /** True when it was taken over from the base of the run. */
  readonly base?: boolean | undefined;
}

export interface FileLost {
  readonly kind: 'lost';
  readonly area: Area;
  readonly key: string;
  readonly reason: LossReason;
  readonly attachmentId?: string | undefined;
  /** One line for the ledger. */
  readonly detail?: string | undefined;
}

/** Left out because its owner may not travel: by its row, or where no row has one, by its metadata. */
export interface FileSkipped {
  readonly kind: 'skipped';
  readonly area: Area;
  readonly key: string;
  readonly attachmentId?: string | undefined;
}

export interface OtherSize {
  readonly kind: 'other-size';
  readonly area: Area;
  readonly key: string;
  /** Bytes as the row says. */
  readonly row: number;
  /** Bytes that the file has. */
  readonly file: number;
  readonly attachmentId?: string | undefined;
}

export interface OddMetadata {
  readonly kind: 'metadata';
  readonly area: Area;
  readonly key: string;
  readonly problem: MetadataProblem;
  readonly ownerFrom: OwnerSource;
}

/** A file below the realm's prefix that no row of the database claims. */
export interface Orphan {
  readonly kind: 'orphan';
  readonly area: Area;
  readonly key: string;
  readonly size: number;
  /** Its copy, where that was asked for and its owner may travel; `path` is relative to the export's directory. */
  readonly copy?: (Pick<FileDone, 'size' | 'sha256' | 'record' | 'etag'> & { readonly path: string }) | undefined;
  /** Why it was not copied although that was asked for. */
  readonly notCopied?: LossReason | 'owner' | undefined;
}

/** Not all of an area's orphans could be found; those that were told are some. */
export interface OrphansUnknown {
  readonly kind: 'orphans-unknown';
  readonly area: Area;
  readonly detail: string;
}

export type FileEvent = FileDone | FileLost | FileSkipped | OtherSize | OddMetadata | Orphan | OrphansUnknown;

/** Called for each event, in no particular order; awaited, so a slow journal slows the pull down. */
export type OnFileEvent = (event: FileEvent) => void | Promise<void>;

/** The counts of one area, for the report and the summary. */
export interface AreaTally {
  /** Files in the export. */
  found: number;
  bytes: number;
  /** Entries of records.json; equal to `found`. */
  records: number;
  /** Of `found`, files that an earlier run had fetched. */
  resumed: number;
  /** Wanted files that are not there. */
  missing: number;
  /** Wanted files that are there but could not be had. */
  failed: number;
  /** Objects left out because their owner may not travel. */
  skipped: number;
  /** Files whose size is not the row's. */
  otherSize: number;
  metadata: Record<MetadataProblem, number>;
  /** Whether all files below the realm's prefix were compared with the rows: not where orphans are ignored, nor where a listing broke off. */
  orphansListed: 'no' | 'partly' | 'all';
  /** Files that no row claims, their bytes, and how many of them were copied. */
  orphans: number;
  orphanBytes: number;
  orphansCopied: number;
}

export interface FilesResult {
  readonly areas: Readonly<Record<Area, AreaTally>>;
}

export function emptyTally(): AreaTally {
  return {
    found: 0, bytes: 0, records: 0, resumed: 0, missing: 0, failed: 0, skipped: 0, otherSize: 0,
    metadata: { absent: 0, foreign: 0, contradictory: 0 }, orphansListed: 'no', orphans: 0, orphanBytes: 0, orphansCopied: 0,
  };
}

/** A file that an earlier run told with a `file` event, of which these members must be kept. */
export type EarlierFile = Pick<FileDone, 'size' | 'sha256' | 'record' | 'oddMetadata' | 'identity' | 'etag' | 'base'> & {
  /** Of a file of a base, see inodeOf. */
  readonly inode?: string | undefined;
};
