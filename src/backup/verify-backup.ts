/**
 * Checks a backup: without the key that every part is there, as it was written; with the key also that every part opens and holds
 * the rows that were counted at the source.
 */
import type { KeyObject } from 'node:crypto';
import { inParallel } from '../in-parallel.js';
import { tellPhase, tellProgress } from '../narration.js';
import { damaged, totalFiles, totalRows } from './contents/backup-contents.js';
import type { Part } from './contents/backup-contents.js';
import { findBackup, openBackup } from './contents/find-backup.js';
import type { FoundBackup, Keys } from './contents/find-backup.js';
import { partChecker } from './contents/part-checker.js';
import { listProblems, strayObjects } from './contents/part-list.js';
import { partProblem } from './contents/sealing.js';
import { mark } from './store/verified-marks.js';
import type { Level } from './store/verified-marks.js';

/** The step's name. */
export const PARTS = 'stored parts';

export interface VerifiedBackup {
  readonly location: string;
  readonly takenAt: string;
  /** What was looked at. */
  readonly level: Level;
  /** Whether a signature proved who made it. */
  readonly originProved: boolean;
  readonly parts: number;
  /** As stored. */
  readonly bytes: number;
  /** Known only with the key. */
  readonly tables?: number;
  readonly rows?: number;
  readonly files?: number;
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Verifies the backup at `location`, or the newest of those that are kept there, if they are of one database.
 *
 * @param keys `verifyKey` refuses what was not signed with its secret key; without any of the others, only what can be told without them is looked at
 * @param jobs parts that are read at once
 * @throws RealmliftError BACKUP_DAMAGED naming the parts, BACKUP_MISSING, BACKUP_AMBIGUOUS, KEY_WRONG
 */
export async function verifyBackup(location: string, env: Environment, { verifyKey, ...keys }: Keys & { readonly verifyKey?: KeyObject | undefined }, jobs: number, stop?: AbortSignal): Promise<VerifiedBackup> {
  const found = await findBackup(location, env, verifyKey, keys);
  const withKey = keys.identityFile !== undefined || keys.passphraseFile !== undefined;
  const level = withKey ? 'contents' : 'checksums';
  const signal = stop ?? new AbortController().signal;
  // With the key, the sealed list must agree with the clear one before either is believed.
  const open = withKey ? await openBackup(found, keys, signal) : undefined;
  await checkList(found);
  await checkParts(found.list.parts, jobs, open === undefined ? (part, signal) => partProblem(found.store, part, signal) : partChecker(open), signal);
  // The mark is a convenience for rotation; a backup that can only be read is as good without it.
  if (found.kept !== undefined) await mark(found.kept.collection, found.kept.name, level).catch(() => undefined);
  return {
    location: found.store.description, takenAt: found.list.takenAt, level, originProved: found.originProved, parts: found.list.parts.length,
    bytes: found.list.parts.reduce((sum, { bytes }) => sum + bytes, 0),
    ...(open === undefined ? {} : { tables: open.contents.tables.length, rows: totalRows(open.contents), ...(open.contents.files === undefined ? {} : { files: totalFiles(open.contents) }) }),
  };
}

async function checkList({ store, list }: FoundBackup): Promise<void> {
  const problems = [...(await listProblems(store, list.parts)), ...(await strayObjects(store, list.parts))];
  if (problems.length > 0) throw damaged(problems);
}

/**
 * @param problemOf tells what is wrong with a part
 * @throws RealmliftError BACKUP_DAMAGED naming the parts
 */
export async function checkParts(parts: readonly Part[], jobs: number, problemOf: (part: Part, signal: AbortSignal) => Promise<string | undefined>, stop?: AbortSignal): Promise<void> {
  tellPhase(PARTS, 'bytes', parts.reduce((sum, { bytes }) => sum + bytes, 0));
  const problems: string[] = [];
  await inParallel(parts, jobs, async (part, signal) => {
    const problem = await problemOf(part, signal);
    tellProgress(part.bytes);
    if (problem !== undefined) problems.push(`${part.name}: ${problem}`);
  }, stop);
  if (problems.length > 0) throw damaged(problems.sort());
}
