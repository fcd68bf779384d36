/**
 * Which backups of a collection were found good, and how: a small object beside each, so that rotation can spare them. It is a
 * note, not a proof: verify looks again.
 */
import type { RealmliftError } from '../../errors.js';
import { readWhole, writeWhole } from './backup-store.js';
import type { BackupStore } from './backup-store.js';

/** From the weakest to the strongest: as stored; decrypted and counted; restored and compared. */
export const LEVELS = ['checksums', 'contents', 'restored'] as const;

export type Level = (typeof LEVELS)[number];

export interface Mark {
  readonly level: Level;
  /** When, ISO 8601. */
  readonly at: string;
}

/** Notes that a backup was found good. What was found before and says more stays. */
export async function mark(collection: BackupStore, name: string, level: Level): Promise<void> {
  const before = await markOf(collection, name);
  if (before !== undefined && LEVELS.indexOf(before.level) > LEVELS.indexOf(level)) return;
  await writeWhole(collection, objectName(name), `${JSON.stringify({ level, at: new Date().toISOString() } satisfies Mark)}\n`);
}

export async function markOf(collection: BackupStore, name: string): Promise<Mark | undefined> {
  try {
    const mark = JSON.parse((await readWhole(collection, objectName(name))).toString('utf8')) as Mark;
    return LEVELS.includes(mark.level) ? mark : undefined;
  } catch (error) {
    if (error instanceof SyntaxError || (error as RealmliftError).code === 'PART_MISSING') return undefined;
    throw error;
  }
}

export async function removeMark(collection: BackupStore, name: string): Promise<void> {
  await collection.remove(objectName(name));
}

function objectName(backup: string): string {
  return `${backup}.verified.json`;
}
