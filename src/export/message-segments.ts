/** Segments of the messages files, made as the workers ask for them. */
import type { Journal } from '../package/journal.js';
import type { PlannedMessageFile } from '../plan/message-files.js';
import type { ExportPlan } from '../plan/plan-export.js';
import { namingReceivers } from '../plan/receivers.js';
import { messagesQuery, queryOf, type PlannedTable } from '../plan/plan-tables.js';
import type { RunBase } from './catch-up/run-base.js';
import type { SegmentBase } from './segments/base-files.js';
import { basePart, digestOfQueries, earlierPart } from './earlier-parts.js';
import type { MessageFile, MessageQueries } from './segments/message-segment.js';
import { messagesPath } from '../package/export-files.js';
import type { PlannedFiles } from './planned-files.js';
import { rowQuery } from './segments/row-query.js';
import type { MessageSegment } from './segments/segment.js';

/** How many messages files a worker takes at once: enough to keep the sets of a segment's query cheap, few enough to share out. */
const FILES_PER_SEGMENT = 16;

/** With a base: most files are only asked for, and the sets cost more than that. */
const FILES_PER_SEGMENT_OF_BASE = 64;

/** How many segments each worker should get at least, so that all end at about the same time. */
const SHARES = 4;
const SHARES_OF_BASE = 2;

/** What messages files are made by. @param receivers if their usermessages are to be asked for by the list of them, which are the same rows */
export function messageQueries({ tables, compiled, parameters }: ExportPlan, receivers?: readonly number[]): MessageQueries {
  const table = (name: string): PlannedTable | undefined => tables.find((each) => each.name === name);
  const [messages, usermessages] = [table('zerver_message') as PlannedTable, table('zerver_usermessage')];
  const named = receivers === undefined ? compiled : namingReceivers(compiled, receivers);
  return {
    messages: rowQuery(messages, messagesQuery(messages, compiled, parameters)),
    usermessages: usermessages && rowQuery(usermessages, queryOf(usermessages, named, parameters)),
  };
}

/** Digest of what messages files are made by. */
export function queryOfMessages(plan: ExportPlan): string {
  const { messages, usermessages } = messageQueries(plan);
  return digestOfQueries(messages, usermessages);
}

/** @param query digest of queryOfMessages @param edited see ToldByVersions @param jobs workers */
export function* messageSegments(planned: PlannedFiles, queries: MessageQueries, query: string, journal: Journal, given: RunBase | undefined, edited: readonly number[] | undefined, jobs: number): Generator<MessageSegment> {
  const [most, shares] = given?.told === undefined ? [FILES_PER_SEGMENT, SHARES] : [FILES_PER_SEGMENT_OF_BASE, SHARES_OF_BASE];
  const size = Math.min(most, Math.ceil(planned.count / (jobs * shares)));
  const file = ({ number, after, until, rows, ids }: PlannedMessageFile): MessageFile => {
    const path = messagesPath(number);
    return { path, after, until, rows, earlier: earlierPart(journal, path, query, { after, until }), base: basePart(given?.base, query, until), ids };
  };
  const base = given && { directory: given.base.directory, unchanged: given.unchanged, versions: given.told && { ...given.told.versions, edited } };
  let files: MessageFile[] = [];
  for (const each of planned.read()) {
    files.push(file(each));
    if (files.length < size) continue;
    yield { kind: 'messages', ...queries, files, base: ofFiles(base, files) };
    files = [];
  }
  if (files.length > 0) yield { kind: 'messages', ...queries, files, base: ofFiles(base, files) };
}

/** What a worker need know of the base for these files. */
function ofFiles(base: SegmentBase | undefined, files: readonly MessageFile[]): SegmentBase | undefined {
  if (base?.versions?.edited === undefined) return base;
  const [after, until] = [files[0]?.after ?? NaN, files.at(-1)?.until ?? NaN];
  return { ...base, versions: { ...base.versions, edited: base.versions.edited.filter((id) => id > after && id <= until) } };
}
