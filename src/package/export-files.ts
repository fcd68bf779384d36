/**
 * What the files of an export are called: the names that Zulip's import looks for, and report.json beside them. Those of the manifest
 * (manifest.ts), of who consented (consent-files.ts) and of what is no part of it (side-files.ts) stand where more is said of these files.
 */

/** The tables of a realm, or of a single user: every export has one of the two. */
export const REALM_FILE = 'realm.json';
export const USER_FILE = 'user.json';
/** Rows of attachments; every export of a realm has it. */
export const ATTACHMENT_FILE = 'attachment.json';

/** Files at the top level that hold tables of rows, in the order in which Zulip names them. */
export const TABLE_FILES = [REALM_FILE, USER_FILE, 'analytics.json', ATTACHMENT_FILE] as const;

/** A text among the tables of realm.json, whose letters Zulip's statistics count as rows. */
export const NO_TABLE = 'import_source';

/** What a run left out and why, row by row; what was lost; and how the export was made. */
export const REPORT = 'report.json';

/** Which migrations the server has, where its version writes that down. */
export const MIGRATION_STATUS = 'migration_status.json';

/** A messages file and its number, by which the import reads them: from 1 on, without a gap. */
export const MESSAGES_FILE = /^messages-(\d{6,})\.json$/;

export function messagesPath(number: number): string {
  return `messages-${String(number).padStart(6, '0')}.json`;
}

/** Also of one that is not finished. */
export function isMessagesPath(path: string): boolean {
  return path.startsWith('messages-');
}

/** The four directories of uploaded files, in the order in which Zulip writes them. */
export const AREAS = ['uploads', 'avatars', 'emoji', 'realm_icons'] as const;

export type Area = (typeof AREAS)[number];

/** The area of a path such as `uploads/2/ab/x.png`; undefined for a file at the top level. */
export function areaOf(path: string): Area | undefined {
  return AREAS.find((area) => path.startsWith(`${area}/`));
}

/** The list of an area's files, in the area itself. */
export function recordsOf(area: Area): string {
  return `${area}/records.json`;
}
