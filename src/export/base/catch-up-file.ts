/** `catch-up.journal` beside an export: its origin, the files that a later export can take over, and which manifest they belong to. */
import { closeSync, constants, existsSync, openSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { appendFile } from 'node:fs/promises';
import { join } from 'node:path';
import { journalLine, journalLines, parseLine } from '../../package/journal-lines.js';
import type { JournalPart } from '../../package/journal.js';
import { MANIFEST } from '../../package/manifest.js';
import { createOwn } from '../../package/own-path.js';
import { diskError, digestOf } from '../../package/part-file.js';
import type { Place } from '../../package/path-index.js';
import { CATCH_UP } from '../../package/side-files.js';
import { inodeOf } from '../../package/take-over.js';
import type { CheckedBy, CheckedFile } from '../../verify/checked-files.js';
import type { VerifiedBefore } from '../../verify/same-files.js';
import type { VerifyOptions, VerifyReport } from '../../verify/verify-export.js';
import type { Origin } from './origin.js';
import { isMessagesPath } from '../../package/export-files.js';
import { isLedgerPath } from '../../package/part-paths.js';

/** A finished file, or rows that lie in a file of several tables by then. */
export interface CatchUpPart extends JournalPart {
  /** Of a view of the ledger: the rows themselves, which are few. */
  readonly content?: string | undefined;
}

type Line = { readonly kind: 'origin' } & Origin | { readonly kind: 'part' | 'file' } & CatchUpPart
  | { readonly kind: 'by'; readonly by: CheckedBy } | { readonly kind: 'verified'; readonly ofWhat: VerifyReport['kind'] } & Omit<VerifiedBefore['report'], 'kind'> | { readonly kind: 'checked' } & CheckedFile | { readonly kind: 'end'; readonly manifest: string };

/** Lines of what verify said. */
const SAID: ReadonlySet<Line['kind']> = new Set(['by', 'checked', 'verified']);

/** Characters written at once: a stream would cost each of a thousand small exports more than all else here. */
const BLOCK = 64 * 1024;

/** Writes all but the last line. @param parts what the run has finished @param tableFiles the files that hold tables */
export async function writeCatchUp(directory: string, origin: Origin, parts: AsyncIterable<CatchUpPart>, tableFiles: readonly JournalPart[]): Promise<void> {
  const path = join(directory, CATCH_UP);
  try {
    const file = createOwn(path);
    try {
      let held = journalLine({ kind: 'origin', ...origin });
      for await (const part of parts) {
        const kept = isMessagesPath(part.path) || part.record !== undefined;
        if (!kept && part.query === undefined) continue;
        // The rows of a table lie in another file by then, and those of the ledger in none.
        const content = part.content ?? (isLedgerPath(part.path) && part.size <= BLOCK ? readFileSync(join(directory, part.path), 'utf8') : undefined);
        held += journalLine({ ...part, inode: kept ? inodeOf(join(directory, part.path)) : undefined, base: undefined, mended: undefined, content });
        if (held.length < BLOCK) continue;
        writeFileSync(file, held);
        held = '';
      }
      for (const part of tableFiles) if (part.query !== undefined) held += journalLine({ kind: 'file', ...part, inode: inodeOf(join(directory, part.path)) });
      writeFileSync(file, held);
    } finally {
      closeSync(file);
    }
  } catch (error) {
    throw diskError(error, path);
  }
}

/** Takes down what verify can know later. */
export interface Remember extends NonNullable<VerifyOptions['remember']> {
  /** What it said of the whole, which it found good. */
  all(report: VerifiedBefore['report']): void;
  /** All that it said of an export with the same files. */
  same(directory: string): Promise<void>;
}

/** Adds what verify can know of it later. */
export async function rememberChecked<T>(directory: string, work: (remember: Remember | undefined) => Promise<T>): Promise<T> {
  const path = join(directory, CATCH_UP);
  if (!existsSync(path)) return work(undefined);
  const file = openSync(path, constants.O_WRONLY | constants.O_APPEND | constants.O_NOFOLLOW);
  const add = (line: Line): void => {
    try {
      writeFileSync(file, journalLine(line));
    } catch (error) {
      throw diskError(error, path);
    }
  };
  try {
    return await work({
      by: (by) => { add({ kind: 'by', by }); },
      file: (checked) => { add({ kind: 'checked', ...checked }); },
      // And not where the export lay then.
      all: ({ kind: ofWhat, manifest, findings, totals, census }) => { add({ kind: 'verified', ofWhat, manifest, findings, totals, ...(census === undefined ? {} : { census }) }); },
      same: async (other) => {
        for await (const { text } of journalLines(join(other, CATCH_UP))) {
          const line = parseLine<Line>(text);
          if (line !== undefined && SAID.has(line.kind)) add(line);
        }
      },
    });
  } finally {
    closeSync(file);
  }
}

/** Binds it to the manifest, once that is final: one without this line is not whole. */
export async function sealCatchUp(directory: string): Promise<void> {
  const path = join(directory, CATCH_UP);
  if (!existsSync(path)) return;
  const { sha256 } = await digestOf(join(directory, MANIFEST));
  await appendFile(path, journalLine({ kind: 'end', manifest: sha256 }), { flag: constants.O_WRONLY | constants.O_APPEND | constants.O_NOFOLLOW }).catch((error: unknown) => { throw diskError(error, path); });
}

/** What the export in a directory says of where it came from; undefined where it says nothing. */
export async function originOf(directory: string): Promise<Origin | undefined> {
  const path = join(directory, CATCH_UP);
  if (statSync(path, { throwIfNoEntry: false })?.isFile() !== true) return undefined;
  for await (const { text } of journalLines(path)) {
    const line = parseLine<Line>(text);
    return line?.kind === 'origin' ? line : undefined;
  }
  return undefined;
}

export interface CatchUp {
  readonly origin: Origin;
  readonly manifest: string;
  /** Of an export that was verified. */
  readonly by: CheckedBy | undefined;
  readonly verified: VerifiedBefore['report'] | undefined;
}

/** What a catch-up file says; undefined where it is damaged or not whole. */
export async function readCatchUp(path: string, onLine: (line: JournalPart | CheckedFile, place: Place) => void): Promise<CatchUp | undefined> {
  let origin: Origin | undefined;
  let by: CheckedBy | undefined;
  let verified: VerifiedBefore['report'] | undefined;
  let manifest: string | undefined;
  for await (const { text, offset, length } of journalLines(path)) {
    const line = parseLine<Line>(text);
    if (line === undefined || manifest !== undefined || (origin === undefined) !== (line.kind === 'origin')) return undefined;
    if (line.kind === 'origin') origin = line;
    else if (line.kind === 'end') ({ manifest } = line);
    else if (line.kind === 'by') ({ by } = line);
    else if (line.kind === 'verified') {
      const { ofWhat, ...report } = line;
      verified = { ...report, kind: ofWhat };
    }
    else onLine(line, { offset, length });
  }
  return origin === undefined || manifest === undefined ? undefined : { origin, manifest, by, verified };
}
