/** Where a new server keeps its files. */
import type { FileAttributes, PlannedFile } from './file-plan.js';

export interface FileTarget {
  readonly description: string;
  /** Checks that it can be written. */
  open(signal: AbortSignal): Promise<void>;
  /** True when something lies below the prefix, which ends in `/`. */
  has(area: PlannedFile['area'], prefix: string, signal: AbortSignal): Promise<boolean>;
  /** Stores a file of the export, replacing what an earlier attempt left; its content is held to the manifest. */
  put(file: PlannedFile, from: string, signal: AbortSignal): Promise<void>;
  /** Stores what was made here. */
  write(area: PlannedFile['area'], key: string, content: Buffer, attributes: FileAttributes, signal: AbortSignal): Promise<void>;
  /** Removes all below the prefixes, which end in `/`, and these single files. */
  remove(area: PlannedFile['area'], prefixes: readonly string[], keys: readonly string[], signal: AbortSignal): Promise<number>;
  close(): void;
}

/** The old server's buckets, where they are to be copied from. */
export interface SourceBuckets {
  readonly uploads: string;
  readonly avatars: string;
}
