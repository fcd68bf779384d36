/**
 * What a backup consists of.
 *
 * ```
 * backup-20250131T031500.250000Z-5f3c9a/
 *   backup.json           in the clear, written last: the parts with size and SHA-256. Its presence says that the backup is complete
 *   backup.json.sha256    of backup.json, as sha256sum writes it
 *   backup.json.sig       of backup.json, if it was signed: see signature.ts
 *   contents.json.gz.age  sealed: all there is to know about the database, and again the parts with their SHA-256
 *   schema/…  rows/…  files/…   sealed parts, each an age file of its own around gzip, or zstd (.zst.age)
 *   identity.age          only under a passphrase: the key, see age-keys.ts
 * ```
 * Without the key one can tell that nothing is damaged, missing or swapped. With it, the sealed list tells the same even if
 * somebody rewrote the clear one.
 */
import { createHash } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { RealmliftError } from '../../errors.js';
import type { RowCount } from '../rows/row-counter.js';
import type { QualifiedName, SequenceValue, TableRows } from '../source/source-catalog.js';
import type { LostUpload } from '../uploads/upload-source.js';
import { SIGNATURE, signatureOf } from './signature.js';

export const CLEAR_LIST = 'backup.json';
export const CLEAR_LIST_CHECKSUM = 'backup.json.sha256';
export const IDENTITY = 'identity.age';

const FORMAT = 'realmlift-backup-1';

/** A stored object, as it must be found again. */
export interface Part {
  readonly name: string;
  readonly bytes: number;
  /** Of the object as stored, in lower-case hexadecimal. */
  readonly sha256: string;
}

/** The part of a backup that anybody may read. */
export interface ClearList {
  readonly format: typeof FORMAT;
  readonly id: string;
  /** When the snapshot was taken, ISO 8601 in UTC. */
  readonly takenAt: string;
  /** Tells backups of one database from those of others, and not which it is. Earlier backups lack it. */
  readonly database?: string;
  /** Name of the part that holds the sealed list. */
  readonly contents: string;
  readonly parts: readonly Part[];
}

export interface TablePart extends RowCount {
  readonly part: string;
}

export interface SavedTable extends TableRows {
  readonly parts: readonly TablePart[];
}

/** A tar archive of uploaded files. */
export interface FilesPart {
  readonly part: string;
  readonly files: number;
  readonly bytes: number;
}

/** The sealed list. */
export interface Contents {
  readonly format: typeof FORMAT;
  readonly id: string;
  readonly takenAt: string;
  readonly realmlift: string;
  readonly source: {
    /** server_version_num */
    readonly serverVersion: number;
    readonly database: string;
    readonly encoding: string;
    readonly collation: string;
    /** Roles that the schema names. */
    readonly roles: readonly string[];
    /** Settings of the database (ALTER DATABASE … SET), each as `name=value`. */
    readonly settings: readonly string[];
    /** Settings of roles in this database alone (ALTER ROLE … IN DATABASE … SET); absent where there are none, and in earlier backups, as the two that follow. */
    readonly roleSettings?: readonly { readonly role: string; readonly settings: readonly string[] }[];
    /** Rights on the database, where they are not those of a new one, but for its owner's; `role` is null of PUBLIC. */
    readonly rights?: readonly { readonly role: string | null; readonly right: string; readonly grantable: boolean }[];
    /** COMMENT ON DATABASE */
    readonly comment?: string;
    /** Schemas in which the database's functions look for what they name without one. Earlier backups lack it. */
    readonly searchPath?: readonly string[];
    /** Encoding of rows that were copied as text, where it is that of the database and not UTF8. */
    readonly rowsIn?: string;
  };
  /** Names of parts: what comes before the rows, the large objects without their bytes if there are any, what comes after the rows. */
  readonly schema: { readonly preData: string; readonly largeObjects?: string; readonly postData: string };
  readonly tables: readonly SavedTable[];
  readonly sequences: readonly SequenceValue[];
  /** Unlogged tables and sequences without their rows and values, which the hot standby did not have; absent where there are none. */
  readonly unlogged?: readonly QualifiedName[];
  /** Pages of large objects: object, page number, bytes. */
  readonly largeObjects: readonly TablePart[];
  /**
   * Uploaded files; absent when they were not asked for. `vanished` ones were deleted between listing and reading, `lost` ones were there
   * and could not be had: absent where there are none, else the first of them by name.
   */
  readonly files?: {
    readonly kind: 'directory' | 'buckets'; readonly parts: readonly FilesPart[]; readonly vanished: number;
    readonly lost?: number; readonly lostFiles?: readonly LostUpload[];
  };
  /** All parts but this list itself. */
  readonly parts: readonly Part[];
}

export const NEW_LIST = { format: FORMAT } as const;

/**
 * Name and content of the objects that complete a backup, in the order in which they are written.
 *
 * @param signKey signs the list, if it is given
 */
export function clearListObjects(list: ClearList, signKey?: KeyObject): readonly [string, string | Uint8Array][] {
  const json = `${JSON.stringify(list, null, 1)}\n`;
  return [[CLEAR_LIST_CHECKSUM, checksumLine(json)], ...(signKey === undefined ? [] : [[SIGNATURE, signatureOf(json, signKey)] as const] as [string, Uint8Array][]), [CLEAR_LIST, json]];
}

function checksumLine(json: string): string {
  return `${createHash('sha256').update(json).digest('hex')}  ${CLEAR_LIST}\n`;
}

/** @throws RealmliftError BACKUP_DAMAGED, BACKUP_FORMAT */
export function parseClearList(json: Buffer, checksum: Buffer): ClearList {
  const text = json.toString('utf8');
  if (checksum.toString('utf8') !== checksumLine(text)) throw damaged([`${CLEAR_LIST}: it does not match ${CLEAR_LIST_CHECKSUM}`]);
  return parsed<ClearList>(text, CLEAR_LIST);
}

/**
 * @param list the clear list, which must say the same
 * @throws RealmliftError BACKUP_DAMAGED, BACKUP_FORMAT
 */
export function parseContents(json: Buffer, list: ClearList): Contents {
  const contents = parsed<Contents>(json.toString('utf8'), list.contents);
  const others = list.parts.filter(({ name }) => name !== list.contents);
  if (contents.id !== list.id || contents.takenAt !== list.takenAt) throw damaged([`${list.contents}: it belongs to another backup than ${CLEAR_LIST}`]);
  if (JSON.stringify(contents.parts) !== JSON.stringify(others)) throw damaged([`${CLEAR_LIST}: its list of parts is not the sealed one`]);
  return contents;
}

/** Relative, below the backup's directory. */
const PART_NAME = /^(?!\.)[\w.-]+(?:\/(?!\.)[\w.-]+)*$/;

function parsed<T extends { readonly format: string }>(text: string, name: string): T {
  let value: T;
  try {
    value = JSON.parse(text) as T;
  } catch (cause) {
    throw damaged([`${name}: it is no JSON`], cause);
  }
  if (value.format !== FORMAT) throw new RealmliftError('BACKUP_FORMAT', 'backup', `${name} is of the format ${JSON.stringify(value.format)}, which this version does not know`, { hint: 'use the version of realmlift that wrote it, or a later one' });
  const { parts } = value as { parts?: unknown };
  if (!Array.isArray(parts) || !parts.every((part: Partial<Part> | null) => typeof part?.name === 'string' && PART_NAME.test(part.name))) throw damaged([`${name}: its parts have names that no backup has`]);
  return value;
}

/** @param problems each `PART: what is wrong with it` */
export function damaged(problems: readonly string[], cause?: unknown): RealmliftError {
  const shown = problems.slice(0, 5).join('; ');
  const more = problems.length > 5 ? `; and ${problems.length - 5} more` : '';
  return new RealmliftError('BACKUP_DAMAGED', 'backup', shown + more, { hint: 'take these parts from a copy, or use another backup', cause });
}

/** A part by its name. @throws RealmliftError BACKUP_DAMAGED when the list does not describe it */
export function partNamed(contents: Contents, name: string): Part {
  const part = contents.parts.find((each) => each.name === name);
  if (part === undefined) throw damaged([`${name}: the sealed list does not describe it`]);
  return part;
}

/** Rows of all parts of all tables. */
export function totalRows(contents: Contents): number {
  return contents.tables.flatMap(({ parts }) => parts).reduce((sum, { rows }) => sum + rows, 0);
}

/** What a backup from a standby lacks, in words; undefined where it lacks nothing. */
export function unloggedText({ unlogged = [] }: Pick<Contents, 'unlogged'>): string | undefined {
  if (unlogged.length === 0) return undefined;
  const names = unlogged.slice(0, 5).map(({ schema, name }) => `${schema}.${name}`).join(', ');
  return `a standby has no rows of unlogged tables and no values of unlogged sequences, and the backup has their definition alone: ${names}${unlogged.length > 5 ? `, and ${unlogged.length - 5} more` : ''}`;
}

/** Uploaded files in all archives. */
export function totalFiles({ files }: Contents): number {
  return files?.parts.reduce((sum, part) => sum + part.files, 0) ?? 0;
}
