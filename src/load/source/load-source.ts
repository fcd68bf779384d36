/** An export that is loaded: its tables, and how many ids each of them needs. */
import { setImmediate } from 'node:timers/promises';
import type { ManifestFile } from '../../package/manifest.js';
import type { LoadableExport } from './loadable-export.js';
import { tellPhase, tellProgress } from '../../narration.js';
import { eachRow } from '../../pipe/each-row.js';
import { eachTableFile } from '../../pipe/opened-tables.js';
import { STEPS } from './load-steps.js';
import type { TableFile } from '../../pipe/table-file.js';
import { spaceOf } from '../../remap/reference-catalog.js';

/**
 * Rows that the new server has or that no import takes: clients unite by name, system bots by address, and what was exported
 * before is no matter of the new server.
 */
export const NOT_LOADED: ReadonlySet<string> = new Set(['zerver_analytics', 'zerver_client', 'zerver_realmexport', 'zerver_userprofile_crossrealm']);

export const MESSAGES = 'zerver_message';
export const USERMESSAGES = 'zerver_usermessage';

export interface MessageFile {
  readonly listed: ManifestFile;
  /** Rows of usermessages in the files before it. */
  readonly usermessagesBefore: number;
  readonly messages: number;
  readonly usermessages: number;
}

export interface LoadSource {
  readonly source: LoadableExport;
  /** realm.json and its like, opened. */
  readonly files: readonly TableFile[];
  readonly messages: readonly MessageFile[];
  /** Tables of the messages files. */
  readonly messageTables: readonly string[];
  /** Rows by the table as the export names it. */
  readonly rows: ReadonlyMap<string, number>;
  /** Ids that are needed, by the table that owns them. */
  readonly ids: ReadonlyMap<string, number>;
}

/** @throws RealmliftError EXPORT_CHANGED, JSON_DAMAGED */
export async function readLoadSource(source: LoadableExport, files: readonly TableFile[]): Promise<LoadSource> {
  const rows = new Map<string, number>();
  const add = (table: string, count: number): void => void rows.set(table, (rows.get(table) ?? 0) + count);
  for (const file of files) for (const table of file.tables) add(table, file.count(table));
  const messages: MessageFile[] = [];
  const messageTables = new Set<string>();
  tellPhase(STEPS.reading, 'bytes', source.messages.reduce((sum, { size }) => sum + size, 0));
  for (const listed of source.messages) {
    const counts = listed.rows ?? await countRows(source, listed);
    messages.push({ listed, usermessagesBefore: rows.get(USERMESSAGES) ?? 0, messages: counts[MESSAGES] ?? 0, usermessages: counts[USERMESSAGES] ?? 0 });
    for (const [table, count] of Object.entries(counts)) {
      messageTables.add(table);
      add(table, count);
    }
    tellProgress(listed.size);
  }
  const ids = new Map<string, number>();
  for (const [table, count] of rows) {
    if (NOT_LOADED.has(table) || table === 'zerver_namedusergroup') continue;
    ids.set(spaceOf(table), (ids.get(spaceOf(table)) ?? 0) + count - (table === 'zerver_recipient' ? botRecipients(files) : 0));
  }
  return { source, files, messages, messageTables: [...messageTables], rows, ids };
}

/** Of an export without a manifest, which says it. */
async function countRows(source: LoadableExport, listed: ManifestFile): Promise<Record<string, number>> {
  // Reading is synchronous: between two files the program hears signals and its connections.
  await setImmediate();
  const counts: Record<string, number> = {};
  for (const file of eachTableFile(source, [listed])) for (const table of file.tables) counts[table] = file.count(table);
  return counts;
}

/** Rows of recipients that are those of system bots, which the new server has. */
function botRecipients(files: readonly TableFile[]): number {
  const ofBots = new Set<number>();
  for (const fields of eachRow(files, 'zerver_userprofile_crossrealm')) ofBots.add(fields.integerOf('recipient_id'));
  let count = 0;
  for (const fields of eachRow(files, 'zerver_recipient')) if (ofBots.has(fields.integerOf('id'))) count++;
  return count;
}
