/** Uploaded files as a backup takes them: all that is there, whether a row of the database names it or not. */
import type { LossReason } from '../../files/file-events.js';
import { Lost } from '../../files/file-store.js';

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

/** A file as it was listed; it may have changed by the time it is read. */
export interface ListedFile {
  /** Relative, with `/`; in a bucket `uploads/KEY` or `avatars/KEY`. */
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  /** Seconds since the epoch, without fractions. */
  readonly modified: number;
}

export interface UploadedFile extends ListedFile {
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
  /** One that was listed, perhaps elsewhere: what is not as it was listed may be another place's, and is lost as `changed`. */
  file(listed: ListedFile): UploadedFile;
}

/** Refuses what is not as it was listed. @throws Lost `changed` */
export function asListed({ size, modified }: ListedFile, content: UploadContent): UploadContent {
  if (content.size === size && Math.floor(content.modified) === modified) return content;
  throw new Lost('changed', 'it is not as it was listed');
}
