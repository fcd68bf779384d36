/** What is asked of a load. */
import { resolve } from 'node:path';
import type { UploadPlace } from '../files/upload/upload-place.js';
import type { SourceBuckets } from './files/file-target.js';
import type { ConnectionSettings } from '../snapshot/connection-settings.js';

export interface LoadRequest {
  /** The new server's database. */
  readonly target: ConnectionSettings;
  readonly subdomain: string;
  /** Take a subdomain that Zulip keeps for itself, also if it is not the one that the realm has. */
  readonly allowReserved: boolean;
  /** Undefined names the realm after its subdomain, as Zulip's import does. */
  readonly realmName: string | undefined;
  /** Sessions that load at once. */
  readonly jobs: number;
  /** Rows of usermessages from which on an empty server gets its indexes afterwards. */
  readonly indexesLaterFrom: number;
  /** Check, and write nothing. */
  readonly dryRun: boolean;
  /** Go on with a load that stopped. */
  readonly resume: boolean;
  /** The new server's uploads directory or buckets. */
  readonly files: UploadPlace;
  /** The old server's buckets at the provider of the new ones: what lies there is copied by the provider. */
  readonly fromBuckets: SourceBuckets | undefined;
  /** Files that are copied at once. */
  readonly fileJobs: number;
  /** The new server's avatar_salt. */
  readonly salt: string | undefined;
}

/** What deals with a load that has begun to write and has not come to its end. */
export const UNFINISHED = 'the realm is incomplete and deactivated: --resume goes on, --undo removes what was loaded';

export interface LoadResult {
  readonly realmId: number;
  readonly subdomain: string;
  readonly realmName: string;
  /** Rows that are on the new server now, by table; on a dry run those that would be. */
  readonly rows: ReadonlyMap<string, number>;
  readonly files: number;
  /** Images of which the new server can make thumbnails. */
  readonly images: number;
  /** Steps that an earlier, unfinished run had done. */
  readonly resumed: number;
  /** As exported: a realm that was deactivated has to be reactivated. */
  readonly deactivated: boolean;
  /** References that point outside the export and stayed. */
  readonly outside: number;
}

/** Where files go, in words that are the same for the same place. */
export function placeOf(files: UploadPlace): string {
  return files.kind === 'directory' ? resolve(files.directory) : `s3://${files.uploads} and s3://${files.avatars}`;
}
