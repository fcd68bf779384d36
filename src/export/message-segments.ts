/** Segments of the messages files, made as the workers ask for them. */
import type { Journal } from '../package/journal.js';
import type { PlannedMessageFile } from '../plan/message-files.js';
import type { Base } from './base.js';
import type { BaseVersions } from './changed-files.js';
import { basePart, digestOfQueries, earlierPart } from './earlier-parts.js';
import type { MessageFile, MessageQueries } from './message-segment.js';
import { messagesPath } from './part-paths.js';
import type { PlannedFiles } from './planned-files.js';
import type { MessageSegment } from './segment.js';

/** How many messages files a worker takes at once: enough to keep the sets of a segment's query cheap, few enough to share out. */
const FILES_PER_SEGMENT = 16;

/** How many segments each worker should get at least, so that all end at about the same time. */
const SHARES = 4;

/** The base of a run, and by what the server tells new rows from its rows. */
export interface RunBase {
  readonly base: Base;
  /** Undefined where that cannot be believed, which `compared` says why. */
  readonly versions: BaseVersions | undefined;
  readonly compared: string | undefined;
}

/** @param jobs workers */
export async function* messageSegments(planned: PlannedFiles, queries: MessageQueries, journal: Journal, given: RunBase | undefined, jobs: number): AsyncGenerator<MessageSegment> {
  const size = Math.min(FILES_PER_SEGMENT, Math.ceil(planned.count / (jobs * SHARES)));
  const query = digestOfQueries(queries.messages, queries.usermessages);
  const file = ({ number, after, until, rows }: PlannedMessageFile): MessageFile => {
    const path = messagesPath(number);
    return { path, after, until, rows, earlier: earlierPart(journal, path, query, { after, until }), base: basePart(given?.base, query, until) };
  };
  const base = given && { directory: given.base.directory, versions: given.versions };
  let files: MessageFile[] = [];
  for await (const each of planned.read()) {
    files.push(file(each));
    if (files.length < size) continue;
    yield { kind: 'messages', ...queries, files, base };
    files = [];
  }
  if (files.length > 0) yield { kind: 'messages', ...queries, files, base };
}
