/**
 * Which messages files of a base still hold, asked of the server by the versions of the rows, which do not leave it: the ids of a
 * file's messages are the same, no row of it is newer than the base, and it has as many usermessages. These can only have become fewer
 * where none is new, and whose may travel is known: so as many are the same.
 */
import type pg from 'pg';
import { copyError } from '../copy/copy-error.js';
import { bindMessageIds, bindMessageRange } from '../plan/parameters.js';
import { VERSION_COLUMN } from '../plan/version-form.js';
import { digestOfIds, type MessageFile } from './message-segment.js';
import type { VersionQueries } from './origin.js';

/** By what the server tells new rows from those that a base has. */
export interface BaseVersions extends VersionQueries {
  /** See firstNew. */
  readonly firstNew: string;
  /** Users whose usermessages travel now, and did not then. */
  readonly joined: readonly number[];
}

/** @param files consecutive, each with the part of a base that it may be @returns those that are the same */
export async function unchangedFiles(client: pg.Client, versions: BaseVersions, files: readonly MessageFile[]): Promise<MessageFile[]> {
  const messages = await messagesOf(client, versions, files);
  const same = files.filter((file, index) => messages[index]?.isNew === false && digestOfIds(messages[index].ids) === file.base?.ids);
  if (same.length === 0) return [];
  const counts = await usermessagesOf(client, versions, same, same.flatMap((file) => messages[files.indexOf(file)]?.ids ?? []));
  return same.filter((file, index) => counts[index]?.isNew !== true && (counts[index]?.rows ?? 0) === (file.base?.rows.zerver_usermessage ?? 0));
}

interface Found {
  readonly file: number;
  readonly isNew: boolean;
}

/** Of each file the ids of its messages, in order, and whether one is new. */
async function messagesOf(client: pg.Client, versions: BaseVersions, files: readonly MessageFile[]): Promise<(Found & { ids: number[] } | undefined)[]> {
  const [first, last] = [files[0] as MessageFile, files.at(-1) as MessageFile];
  const select = bindMessageRange(versions.messages, first.after, last.until);
  const rows = await ask<Found & { ids: string }>(client, 'zerver_message', `
    SELECT ${fileOf('t.id', files)} AS file, string_agg(t.id::text, ',' ORDER BY t.id) AS ids, bool_or(${isNew(versions)}) AS "isNew" FROM (${select}) AS t GROUP BY 1`);
  return files.map((_, index) => {
    const row = rows.find(({ file }) => file === index);
    return row && { ...row, ids: row.ids.split(',').map(Number) };
  });
}

async function usermessagesOf(client: pg.Client, versions: BaseVersions, files: readonly MessageFile[], ids: readonly number[]): Promise<(Found & { rows: number } | undefined)[]> {
  const joined = versions.joined.length === 0 ? '' : ` OR t.user_profile_id = ANY ('{${versions.joined.join(',')}}'::bigint[])`;
  const rows = await ask<Found & { rows: number }>(client, 'zerver_usermessage', `
    SELECT ${fileOf('t.message_id', files)} AS file, count(*)::float8 AS rows, bool_or(${isNew(versions)}${joined}) AS "isNew" FROM (${bindMessageIds(versions.usermessages, ids)}) AS t GROUP BY 1`);
  return files.map((_, index) => rows.find(({ file }) => file === index));
}

/** Number of the file, from 0, that an id belongs to. */
function fileOf(id: string, files: readonly MessageFile[]): string {
  return `width_bucket(${id}::bigint, '{${files.map(({ until }) => until + 1).join(',')}}'::bigint[])`;
}

/** age() counts back from the youngest transaction, so that numbers may wrap around. */
function isNew({ firstNew }: BaseVersions): string {
  return `age(t.${VERSION_COLUMN}) <= (SELECT age('${firstNew}'::xid))`;
}

async function ask<T extends pg.QueryResultRow>(client: pg.Client, table: string, query: string): Promise<T[]> {
  try {
    return (await client.query<T>(query)).rows;
  } catch (error) {
    throw copyError(error, table, query, client.user ?? 'the role');
  }
}
