/**
 * A spool: rows of many groups (targets, or messages files) that came in any order, each group's rows together. A file holds one spool
 * behind the other, so that a run of many tables opens few.
 *
 *   extents    JSON of rows, separated by commas; a group has one for each time that the writer's memory was full
 *   entries    16 bytes an extent: offset (8), length (4), 4 unused; those of a group together
 *   directory  40 bytes a group that has rows, rising: group (4), entries (4), first entry (4), rows (4), first id (8), last id (8), bytes (8)
 *
 * On disk lies what is known of realms times tables, so that neither memory nor open files grow with them.
 */

export const ENTRY = 16;
export const RECORD = 40;

/** A finished spool. */
export interface Spool {
  readonly path: string;
  /** Offsets in the file. */
  readonly entriesAt: number;
  readonly directoryAt: number;
  /** Groups that have rows. */
  readonly groups: number;
  readonly rows: number;
  /** Of the first and of the last row that came. */
  readonly firstId: number;
  readonly lastId: number;
}

/** Bytes that a file has at least which holds the spool. */
export function endOf({ directoryAt, groups }: Spool): number {
  return directoryAt + groups * RECORD;
}
