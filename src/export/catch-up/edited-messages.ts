/**
 * Which messages of a base have a newer version. Where a realm is much of its server the whole table is read for them in the order of the
 * disk: that takes less than to fetch the realm's messages from its pages one by one, and the ids of these the indexes have.
 */
import type { CatalogTable } from '../../plan/views/catalog.js';
import type { Base } from '../base/base.js';
import { isNew } from '../base/new-versions.js';
import type { IdsSegment } from '../segments/ids-segment.js';

/** Bytes of a page of the server. A page in order costs as much as two thirds of a message by the index. */
const PAGE = 8192;

/** Rows of the table for each message of the base at most. */
const ROWS = 5;

/** More are not held in memory. */
const MOST = 1_000_000;

/**
 * @param table of the messages, as the catalog has it @param since see firstNew
 * @returns what asks for them; undefined where the table is too large for the realm
 */
export function editedMessages(table: CatalogTable | undefined, base: Base, since: string): IdsSegment | undefined {
  const messages = base.messageCount;
  if (table === undefined || table.bytes > messages * PAGE || table.estimatedRows > messages * ROWS) return undefined;
  // A look at each row, of which few have to be shown.
  const select = `SELECT t.id::float8 AS id FROM zerver_message t WHERE ${isNew('t.xmin', since)} AND t.id <= ${base.lastMessages()?.until ?? 0}`;
  return { kind: 'ids', table: 'zerver_message', select, most: MOST };
}
