/**
 * Verify's word on an export whose files are those of an earlier one that was found good: of the same bytes it says the same. All of them are
 * read again for their SHA-256, and nothing else is done with them; it takes the threads that Node has anyway.
 */
import { createHash, webcrypto } from 'node:crypto';
import { closeSync, fstatSync, openSync, read, readSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ORDINARY } from '../json/file-input.js';
import { walk } from '../package/directory-walk.js';
import { MANIFEST, readManifest, type ManifestFile } from '../package/manifest.js';
import { SIDE_FILES } from '../package/side-files.js';
import { compareWithManifest } from './manifest-comparison.js';
import type { VerifyReport } from './verify-export.js';
import { tellPhase, tellProgress, VERIFICATION } from '../narration.js';

/** An earlier export, and what verify said of it. */
export interface VerifiedBefore {
  readonly directory: string;
  readonly report: Pick<VerifyReport, 'kind' | 'manifest' | 'findings' | 'totals' | 'census'>;
}

/** Verify has nothing to say of it but its SHA-256, and it tells of the run. */
const REPORT = 'report.json';

/** Files under way at once; each has a buffer. */
const AT_ONCE = 3;
const BUFFER = 4 << 20;

/** Bytes up to which a file is read faster than it is handed to another thread. */
const SMALL = 64 * 1024;

const readAt = promisify(read);

/** @returns undefined where something is not as it was, or not as it is listed, or cannot be read: what it is, verify tells who asks it */
export async function verifySameFiles(directory: string, { directory: earlier, report }: VerifiedBefore): Promise<VerifyReport | undefined> {
  const started = performance.now();
  try {
    const same = await sameList(directory, earlier);
    if (same === undefined) return undefined;
    tellPhase(VERIFICATION, 'bytes', same.bytes);
    return await allIntact(directory) ? { ...report, directory, totals: { ...report.totals, ...same, seconds: (performance.now() - started) / 1000 } } : undefined;
  } catch {
    return undefined;
  }
}

/** How many files the manifest lists, and their bytes, if they are there and nothing else, and are the same as in the earlier export. */
async function sameList(directory: string, earlier: string): Promise<{ files: number; bytes: number } | undefined> {
  const then = (await readManifest(join(earlier, MANIFEST))).files;
  const now = (await readManifest(join(directory, MANIFEST))).files;
  let [files, bytes] = [0, 0];
  for await (const { path, found, listed } of compareWithManifest(walk(directory), now)) {
    if (found?.isFile !== true) return undefined;
    if (listed === undefined) {
      if (path !== MANIFEST && !SIDE_FILES.has(path)) return undefined;
      continue;
    }
    const before = (await then.next() as { value: ManifestFile | undefined }).value;
    if (before?.path !== path || (path !== REPORT && (before.size !== listed.size || before.sha256 !== listed.sha256))) return undefined;
    files += 1;
    bytes += listed.size;
  }
  return (await then.next()).done === true ? { files, bytes } : undefined;
}

async function allIntact(directory: string): Promise<boolean> {
  const waiting = (await readManifest(join(directory, MANIFEST))).files;
  let intact = true;
  await Promise.all(Array.from({ length: AT_ONCE }, async () => {
    const buffer = Buffer.allocUnsafeSlow(BUFFER);
    for await (const file of waiting) {
      if (!(await isIntact(join(directory, file.path), file, buffer))) intact = false;
      if (!intact) return;
      tellProgress(file.size);
    }
  }));
  return intact;
}

async function isIntact(path: string, { size, sha256 }: ManifestFile, buffer: Buffer): Promise<boolean> {
  const file = openSync(path, ORDINARY);
  try {
    if (fstatSync(file).size !== size) return false;
    if (size > BUFFER || size <= SMALL) return (await digestHere(file, buffer, size > SMALL)) === sha256;
    const { bytesRead } = await readAt(file, buffer, 0, size, 0);
    return bytesRead === size && Buffer.from(await webcrypto.subtle.digest('SHA-256', buffer.subarray(0, size))).toString('hex') === sha256;
  } finally {
    closeSync(file);
  }
}

async function digestHere(file: number, buffer: Buffer, large: boolean): Promise<string> {
  const hash = createHash('sha256');
  for (;;) {
    const got = large ? (await readAt(file, buffer, 0, buffer.length, null)).bytesRead : readSync(file, buffer, 0, buffer.length, null);
    if (got === 0) return hash.digest('hex');
    hash.update(buffer.subarray(0, got));
  }
}
