/**
 * What of the messages files of a base still holds, asked of the server by the versions of the rows, which do not leave it. A file
 * is the same where the ids of its messages are, no row of it is newer than the base, and it has as many usermessages: these can only have
 * become fewer where none is new, for whose may travel is known; so as many are the same.
 */
import type pg from 'pg';
import { copyError } from '../../copy/copy-error.js';
import { VERSION_COLUMN } from '../../plan/views/version-form.js';
import type { BasePart } from './finished-part.js';
import { digestOfList, numbers } from './id-list.js';
import { consecutive, messageRange, type MessageFile } from './message-segment.js';
import type { VersionQueries } from '../base/origin.js';
import { isNew } from '../base/new-versions.js';

/** By what the server tells new rows from those that a base has. */
export interface BaseVersions extends VersionQueries {
  /** See firstNew. */
  readonly firstNew: string;
  /** Users whose usermessages travel now, and did not then. */
  readonly joined: readonly number[];
  /** Messages with a newer version, in their order; undefined where each file is asked for its own. */
  readonly edited?: readonly number[] | undefined;
}

/** A file whose messages are those that the base has in it, by their ids. */
export interface KnownFile {
  readonly file: MessageFile;
  readonly base: BasePart;
  /** As a list, in their order. */
  readonly ids: string;
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
  // A file of a set does not know its clients.
  const isListed = ({ ids, base }: MessageFile): boolean => versions.edited !== undefined && ids !== undefined && base?.clients !== undefined;
  const known: KnownFile[] = [];
  for (const run of consecutive(files, isListed)) known.push(...await listedFiles(client, versions, run));
  for (const run of consecutive(files, (file) => !isListed(file))) known.push(...await askedFiles(client, versions, run));
  return known;
}

/** Files that have the messages of the base, by their lists. */
async function listedFiles(client: pg.Client, versions: BaseVersions, files: readonly MessageFile[]): Promise<KnownFile[]> {
  const lists = files.map(({ ids = '' }, at) => `(${at}, '{${ids}}'::bigint[])`);
  const counted = await ask<Received>(client, `SELECT messages.file, u.* FROM (VALUES ${lists.join(', ')}) AS messages (file, list) CROSS JOIN LATERAL (${receivedOf(versions)}) AS u`);
  return counted.flatMap(({ file: at, usermessages, flags, joined }) => {
    const file = files[at];
    const { base, ids } = file ?? {};
    if (file === undefined || base === undefined || ids === undefined) return [];
    return [{ file, base, ids, newMessages: editedOf(file, ids, versions.edited), usermessages, newUsermessages: numbers(flags), joined }];
  });
}

/** Those of the file, among those of all realms. */
function editedOf({ after, until }: MessageFile, ids: string, edited: readonly number[] = []): number[] {
  const near = edited.filter((id) => id > after && id <= until);
  if (near.length === 0) return near;
  const own = new Set(numbers(ids));
  return near.filter((id) => own.has(id));
}

async function askedFiles(client: pg.Client, versions: BaseVersions, files: readonly MessageFile[]): Promise<KnownFile[]> {
  const found = await countedRows(client, versions, files);
  return found.flatMap(({ file: at, ids: list, clients, messages, usermessages, flags, joined }) => {
    const file = files[at];
    const ids = numbers(list).join();
    if (file?.base === undefined || digestOfList(ids) !== file.base.ids) return [];
    const base = { ...file.base, clients: file.base.clients ?? clients ?? [] };
    return [{ file, base, ids, newMessages: numbers(messages), usermessages, newUsermessages: numbers(flags), joined }];
  });
}

export function isSame({ base, newMessages, usermessages, newUsermessages, joined }: KnownFile): boolean {
  return newMessages.length === 0 && newUsermessages.length === 0 && joined === 0 && usermessages === (base.rows.zerver_usermessage ?? 0);
}

/** What the server counts of the usermessages of a file. */
interface Received {
  /** Which of the files. */
  readonly file: number;
  readonly usermessages: number;
  /** Ids of new ones. */
  readonly flags: string | null;
  readonly joined: number;
}

/** What the server counts of a file. */
interface Counted extends Received {
  readonly ids: string;
  /** That the messages were sent with; null where the base knows. */
  readonly clients: number[] | null;
  /** Ids of new ones. */
  readonly messages: string | null;
}

/** Counts the usermessages of `messages.list`. */
function receivedOf({ usermessages, firstNew, joined }: BaseVersions): string {
  const fresh = isNew(`t.${VERSION_COLUMN}`, firstNew);
  const ofJoined = joined.length === 0 ? '0::float8' : `(count(*) FILTER (WHERE t.user_profile_id = ANY ('{${joined.join(',')}}'::bigint[]) AND NOT ${fresh}))::float8`;
  return `SELECT count(*)::float8 AS usermessages, string_agg(t.id::text, ',') FILTER (WHERE ${fresh}) AS flags, ${ofJoined} AS joined
      FROM (${usermessages.replace(':message_ids', 'messages.list')}) AS t`;
}

/**
 * One query, so that the ids of messages need not come and go. The usermessages of each file are asked for by the list of its messages: to
 * sort out those of many files costs more than to find them.
 */
async function countedRows(client: pg.Client, versions: BaseVersions, files: readonly MessageFile[]): Promise<Counted[]> {
  const fresh = isNew(`t.${VERSION_COLUMN}`, versions.firstNew);
  // A file of a set does not know its clients.
  const clients = files.every(({ base }) => base?.clients !== undefined) ? 'NULL::float8[]' : '(array_agg(DISTINCT m.sending_client_id) FILTER (WHERE m.sending_client_id IS NOT NULL))::float8[]';
  // The planner would sort the messages by their files, of which there are few.
  await client.query('SET LOCAL enable_sort = off');
  const counted = await ask<Counted>(client, `
    WITH m AS (SELECT t.id, t.sending_client_id, ${fresh} AS is_new FROM (${messageRange(versions.messages, files)}) AS t),
    messages AS (SELECT ${fileOf('m.id', files)} AS file, array_agg(m.id) AS list, string_agg(m.id::text, ',') AS ids, ${clients} AS clients, string_agg(m.id::text, ',') FILTER (WHERE m.is_new) AS messages FROM m GROUP BY 1)
    SELECT messages.file, messages.ids, messages.clients, messages.messages, u.* FROM messages CROSS JOIN LATERAL (${receivedOf(versions)}) AS u`);
  await client.query('SET LOCAL enable_sort = on');
  return counted;
}

/** Number of the file, from 0, that an id belongs to. Of doubles the server makes one array for all rows, and ids are whole numbers below 2^53. */
function fileOf(id: string, files: readonly MessageFile[]): string {
  return `width_bucket(${id}::float8, '{${files.map(({ until }) => until + 1).join(',')}}'::float8[])`;
}

async function ask<T extends object>(client: pg.Client, query: string): Promise<T[]> {
  try {
    return (await client.query(query)).rows as T[];
  } catch (error) {
    throw copyError(error, 'zerver_usermessage', query, client.user ?? 'the role');
  }
}
