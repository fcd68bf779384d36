/**
 * What of the messages files of a base still holds, asked of the server by the versions of the rows, which do not leave it. A file
 * is the same where the ids of its messages are, no row of it is newer than the base, and it has as many usermessages: these can only have
 * become fewer where none is new, for whose may travel is known; so as many are the same.
 */
import type pg from 'pg';
import { copyError } from '../copy/copy-error.js';
import { bindMessageIds } from '../plan/parameters.js';
import { VERSION_COLUMN } from '../plan/version-form.js';
import { digestOfIds, messageRange, type BasePart, type MessageFile } from './message-segment.js';
import type { VersionQueries } from './origin.js';

/** By what the server tells new rows from those that a base has. */
export interface BaseVersions extends VersionQueries {
  /** See firstNew. */
  readonly firstNew: string;
  /** Users whose usermessages travel now, and did not then. */
  readonly joined: readonly number[];
}

/** A file whose messages are those that the base has in it, by their ids. */
export interface KnownFile {
  readonly file: MessageFile;
  readonly base: BasePart;
  readonly ids: readonly number[];
  /** Messages with a newer version. */
  readonly newMessages: readonly number[];
  readonly usermessages: number;
  /** Usermessages that are new or have a newer version. */
  readonly newUsermessages: readonly number[];
  /** Usermessages of old versions that the base nevertheless lacks, for their users joined. */
  readonly joined: number;
}

/** @param files consecutive, each with the part of a base that it may be @returns those with the same messages */
export async function knownFiles(client: pg.Client, versions: BaseVersions, files: readonly MessageFile[]): Promise<KnownFile[]> {
  const messages = await messagesOf(client, versions, files);
  const found = files.flatMap((file) => {
    const own = messages.get(file);
    return own === undefined || file.base === undefined || digestOfIds(own.ids) !== file.base.ids ? [] : [{ file, base: file.base, ...own }];
  });
  if (found.length === 0) return [];
  const usermessages = await usermessagesOf(client, versions, found.map(({ file }) => file), found.flatMap(({ ids }) => ids));
  return found.map((each) => ({ ...each, ...(usermessages.get(each.file) ?? { usermessages: 0, newUsermessages: [], joined: 0 }) }));
}

export function isSame({ base, newMessages, usermessages, newUsermessages, joined }: KnownFile): boolean {
  return newMessages.length === 0 && newUsermessages.length === 0 && joined === 0 && usermessages === (base.rows.zerver_usermessage ?? 0);
}

type OfFile<T> = Map<MessageFile, T>;

async function messagesOf(client: pg.Client, versions: BaseVersions, files: readonly MessageFile[]): Promise<OfFile<Pick<KnownFile, 'ids' | 'newMessages'>>> {
  const select = messageRange(versions.messages, files);
  const rows = await ask<{ file: number; ids: string; fresh: string | null }>(client, 'zerver_message', `
    SELECT ${fileOf('t.id', files)} AS file, string_agg(t.id::text, ',') AS ids, string_agg(t.id::text, ',') FILTER (WHERE ${isNew(versions)}) AS fresh FROM (${select}) AS t GROUP BY 1`);
  return new Map(rows.map(({ file, ids, fresh }) => [files[file] as MessageFile, { ids: numbers(ids), newMessages: numbers(fresh) }]));
}

async function usermessagesOf(client: pg.Client, versions: BaseVersions, files: readonly MessageFile[], ids: readonly number[]): Promise<OfFile<Pick<KnownFile, 'usermessages' | 'newUsermessages' | 'joined'>>> {
  const joined = versions.joined.length === 0 ? 'false' : `t.user_profile_id = ANY ('{${versions.joined.join(',')}}'::bigint[])`;
  const rows = await ask<{ file: number; usermessages: number; fresh: string | null; joined: number }>(client, 'zerver_usermessage', `
    SELECT ${fileOf('t.message_id', files)} AS file, count(*)::float8 AS usermessages, string_agg(t.id::text, ',') FILTER (WHERE ${isNew(versions)}) AS fresh,
           (count(*) FILTER (WHERE ${joined} AND NOT ${isNew(versions)}))::float8 AS joined
    FROM (${bindMessageIds(versions.usermessages, ids)}) AS t GROUP BY 1`);
  return new Map(rows.map(({ file, fresh, ...counts }) => [files[file] as MessageFile, { ...counts, newUsermessages: numbers(fresh) }]));
}

/** In their order, which the server would sort all rows for. */
function numbers(list: string | null): number[] {
  return list === null ? [] : list.split(',').map(Number).sort((a, b) => a - b);
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
