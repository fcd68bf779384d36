/**
 * What the database says may travel, given by the caller out of the snapshot. The store is asked for exactly these
 * objects; what else lies in the directory or bucket is only ever counted (see orphans.ts).
 */
import type { Area } from '../package/export-files.js';

/** One exported row of zerver_attachment. */
export interface WantedUpload {
  readonly attachmentId: string;
  readonly pathId: string;
  readonly ownerId: number;
  /** Bytes, as the row has them. */
  readonly size: number | null;
  /** What a server of buckets says of it to browsers; absent where nobody asks. */
  readonly served?: { readonly fileName: string; readonly contentType: string | null; readonly owner: number } | undefined;
}

/** A user's avatar, or one of the three system bots'. */
export interface WantedAvatar {
  readonly userId: number;
  /** zerver_userprofile.avatar_source: `U` uploaded, `G` Gravatar, `J` Jdenticon. */
  readonly avatarSource: string;
  readonly avatarVersion: number;
  /** Name of the avatar's files without extension: the salted hash of the user's id (and version). */
  readonly hash: string;
}

/** One row of zerver_realmemoji. */
export interface WantedEmoji {
  readonly fileName: string;
  readonly name: string;
  readonly authorId: number | null;
  readonly deactivated: boolean;
}

/** How the server's Zulip version writes its files: src/plan/release/file-rules.ts. */
export interface FileRules {
  /** The `.original` of an emoji travels too (10.0 on). */
  readonly emojiOriginals: boolean;
  /** Avatar files are named after user and version, and their records carry avatar_version (10.0 on). */
  readonly avatarVersions: boolean;
  /** Only avatars that users uploaded travel (12.0-beta1 on). */
  readonly uploadedAvatarsAlone: boolean;
  /** Records name the address of the file's owner (up to 11). */
  readonly ownerAddresses: boolean;
}

export interface WantedFiles {
  readonly realmId: number;
  readonly rules: FileRules;
  /** Exported attachments by the bytes of `pathId` (COLLATE "C"). Read once. */
  readonly uploads: () => AsyncIterable<WantedUpload>;
  /** Users of the realm in any order, then the three system bots; undefined leaves avatars out (no salt). */
  readonly avatars: (() => AsyncIterable<WantedAvatar>) | undefined;
  readonly emoji: () => AsyncIterable<WantedEmoji>;
  /** Directories that the export has, of AREAS and in their order. */
  readonly areas: readonly Area[];
  /** `email` of the users of the realm and of the three system bots; undefined for anybody else. */
  readonly emailOf: (userId: number) => string | undefined;
  /** The users of the realm, or the single user. */
  readonly isRealmUser: (userId: number) => boolean;
  /** Whose uploads may travel: those of users in the export and of system bots, or only of approved users. */
  readonly mayOwnUpload: (userId: number) => boolean;
  /** The bot that owns attachments which came by email; undefined for a single user. */
  readonly emailGatewayBotId: number | undefined;
  /**
   * `path_id` of every row of zerver_attachment and zerver_archivedattachment of the realm, exported or not, by its bytes.
   * A file that none of them claims is an orphan. Absent: no orphans are looked for (a single user).
   */
  readonly claimedUploads?: (() => AsyncIterable<string>) | undefined;
}
