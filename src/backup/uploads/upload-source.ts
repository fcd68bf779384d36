/** Uploaded files as a backup takes them: all that is there, whether a row of the database names it or not. */
import type { LossReason } from '../../files/file-events.js';

/** What S3 knows of an object beside its bytes. */
export interface ObjectAttributes {
  readonly contentType?: string;
  readonly contentDisposition?: string;
  readonly contentEncoding?: string;
  readonly contentLanguage?: string;
  readonly cacheControl?: string;
  /** The uploader's own `x-amz-meta-…`. */
  readonly metadata?: Readonly<Record<string, string>>;
}

export interface UploadContent {
  /** Bytes, of exactly this number. */
  readonly size: number;
  /** Seconds since the epoch. */
  readonly modified: number;
  /** Permissions, of a file on a disk. */
  readonly mode?: number;
  readonly attributes?: ObjectAttributes;
  readonly chunks: AsyncIterable<Buffer>;
}

export interface UploadedFile {
  /** Relative, with `/`; in a bucket `uploads/KEY` or `avatars/KEY`. */
  readonly name: string;
  /** As listed; it may have changed by the time it is read. */
  readonly size: number;
  /** @throws Lost, `absent` when the file was deleted meanwhile; so may the chunks */
  read(): Promise<UploadContent>;
}

/** A file, or a directory with all that is in it, that is there and cannot be had. */
export interface LostUpload {
  /** As of {@link UploadedFile}; empty for all that there is. */
  readonly name: string;
  readonly reason: LossReason;
  readonly detail: string;
}

export type OnLostUpload = (lost: LostUpload) => void;

export interface UploadSource {
  readonly kind: 'directory' | 'buckets';
  /** @param onLost told of what the listing finds and cannot give */
  files(onLost: OnLostUpload): AsyncIterable<UploadedFile>;
}
