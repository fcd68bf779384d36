/**
 * Where a Zulip server keeps its files, as the files stage sees it: something that turns what the database wants into
 * candidates, and hands each out whole or says why not. Two stores exist: the local disk and S3.
 */
import type { LossReason, MetadataProblem, OwnerSource } from './file-events.js';
import type { FileRecord } from './records.js';
import type { Area } from '../package/export-files.js';
import type { WantedFiles, WantedUpload } from './wanted-files.js';

/** What a store knows of an object before its first byte is read. */
export interface ObjectInfo {
  /** Bytes. */
  readonly size: number;
  /** Local: seconds since the epoch with fraction. S3: ISO 8601 in UTC. As records.json has them. */
  readonly lastModified: number | string;
  readonly contentType: string | null;
  /** S3 only: with its quotes. */
  readonly etag?: string | undefined;
  readonly bucket?: string | undefined;
  /** S3 only: the object's user metadata, names in lower case. */
  readonly metadata: Readonly<Record<string, string>>;
}

/** What becomes of an object once its metadata is known. */
export type Verdict =
  | { readonly take: true; readonly record: FileRecord; readonly oddMetadata?: { readonly problem: MetadataProblem; readonly ownerFrom: OwnerSource } | undefined }
  | { readonly take: false };

/** One file that the export wants. */
export interface Candidate {
  readonly area: Area;
  /** How the store finds it. */
  readonly key: string;
  /** Where it goes, relative to the area's directory, and its `path` in records.json. */
  readonly path: string;
  /** The row that names it, of an upload. */
  readonly upload?: WantedUpload | undefined;
  /** Its absence is no loss. */
  readonly optional?: boolean | undefined;
  /** Decided without asking for it: its row's owner may not travel, or a listing showed that it is not there. */
  readonly refused?: 'owner' | 'absent' | undefined;
  /** As a listing shows it: tells whether what an earlier run fetched is still current. */
  readonly listed?: StoredFile | undefined;
  readonly judge: (info: ObjectInfo) => Verdict;
  /** It travels whatever `judge` is shown: it may be fetched before that. */
  readonly travels?: boolean | undefined;
}

export type Taken = Extract<Verdict, { take: true }>;

export type Fetched =
  | { readonly taken: true; readonly verdict: Taken; readonly size: number; readonly sha256: string; readonly identity?: string | undefined }
  | { readonly taken: false };

/** A file that cannot be had: every attempt was made. Never ends the run. */
export class Lost extends Error {
  readonly reason: LossReason;

  /** @param detail one line for the ledger, without secrets */
  constructor(reason: LossReason, detail: string, cause?: unknown) {
    super(detail, cause === undefined ? undefined : { cause });
    this.reason = reason;
  }
}

/** What is listed; where a directory or listing cannot be read, that is told like a file that is lost. */
export async function* untilLost<T>(listed: AsyncIterable<T>, onLost: (lost: Lost) => Promise<void> | void): AsyncGenerator<T> {
  try {
    yield* listed;
  } catch (error) {
    if (!(error instanceof Lost)) throw error;
    await onLost(error);
  }
}

/** What tells one S3 server, and who asks it, from another. */
export interface S3Account {
  readonly endpoint?: string | undefined;
  readonly region?: string | undefined;
  readonly credentials?: unknown;
}

/** An object in a bucket, as it was looked at. */
export interface CopySource {
  readonly bucket: string;
  readonly key: string;
  /** With its quotes. */
  readonly etag: string;
  /** Bytes. */
  readonly size: number;
}

export interface FileStore {
  readonly kind: 'local' | 's3';
  /** For the summary, e.g. `S3 buckets zulip-uploads and zulip-avatars at https://s3.example`. */
  readonly description: string;
  /** The same for everybody who means the same place, whatever path or address leads there. */
  readonly name: string;
  /** What is wanted of an area, by the bytes of `path`. @param listed with what listings show of each, where the store has such */
  candidates(area: Area, wanted: WantedFiles, signal: AbortSignal, listed?: boolean): AsyncIterable<Candidate>;
  /**
   * Writes the candidate's bytes to `partial`, checked for length and, where a checksum is known, for content.
   *
   * @throws Lost when it cannot be had, RealmliftError when no file can be had any more
   */
  fetch(candidate: Candidate, partial: string, signal: AbortSignal): Promise<Fetched>;
  /** Whether the record that an earlier run made of the candidate would be made again, as far as can be told without reading it. */
  unchanged(candidate: Candidate, record: FileRecord): Promise<boolean>;
  /** What would be taken, if the candidate is the very file that was fetched once, as far as can be told without reading it: what has only its name is not. */
  stillThere(candidate: Candidate, earlier: FetchedOnce): Promise<Taken | undefined>;
  /** Everything below the realm's prefix of an area, by the bytes of its key as far as the store keeps that order. */
  list(area: Area, realmId: number, signal: AbortSignal): AsyncIterable<StoredFile>;
  /** S3 only: an object as its server shows it, without reading it; undefined when it cannot be had. */
  look?(candidate: Pick<Candidate, 'area' | 'key'>, signal: AbortSignal): Promise<ObjectInfo | undefined>;
  /** S3 only: by what its server may be asked to copy it, as it was seen; undefined where nothing tells it from what may come in its place. */
  source?(candidate: Pick<Candidate, 'area' | 'key'>, info: ObjectInfo): CopySource | undefined;
  /** S3 only: whether that is the same server, region and account. */
  isOf?(account: S3Account): boolean;
  close(): void;
}

/** What is remembered of a file that was fetched. */
export interface FetchedOnce {
  readonly record: FileRecord;
  readonly oddMetadata?: Taken['oddMetadata'];
  /** Local: size, inode and times of the file. S3 needs none: the record has ETag, size and time. */
  readonly identity?: string | undefined;
}

/** A file as a listing shows it. */
export interface StoredFile {
  /** As a candidate has it. */
  readonly key: string;
  /** Bytes. */
  readonly size: number;
  /** S3 only: with its quotes. */
  readonly etag?: string | undefined;
  /** S3 only: ISO 8601 in UTC. */
  readonly lastModified?: string | undefined;
}
