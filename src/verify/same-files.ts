/**
 * Verify's word on an export whose files are those of an earlier one that was found good: of the same bytes it says the same. All of them are
 * read again for their SHA-256, and nothing else is done with them; it takes the threads that Node has anyway.
 */
import { join } from 'node:path';
import { walk } from '../package/directory-walk.js';
import { MANIFEST, readManifest, type ManifestFile } from '../package/manifest.js';
import { SIDE_FILES } from '../package/side-files.js';
import { compareWithManifest } from '../package/manifest-comparison.js';
import { AT_ONCE, isIntact, newBuffer } from './digests.js';
import type { DigestsAhead } from './digests-ahead.js';
import type { VerifyReport } from './verify-export.js';
import { tellPhase, tellProgress, VERIFICATION } from '../narration.js';
import { REPORT } from '../package/export-files.js';

/** An earlier export, and what verify said of it. */
export interface VerifiedBefore {
  readonly directory: string;
  readonly report: Pick<VerifyReport, 'kind' | 'manifest' | 'findings' | 'totals' | 'census'>;
}

/**
 * @param ahead digests of its files that were taken while the others were made
 * @returns undefined where something is not as it was, or not as it is listed, or cannot be read: what it is, verify tells who asks it
 */
export async function verifySameFiles(directory: string, { directory: earlier, report }: VerifiedBefore, ahead?: Pick<DigestsAhead, 'has'>): Promise<VerifyReport | undefined> {
  const started = performance.now();
  try {
    const same = await sameList(directory, earlier);
    if (same === undefined) return undefined;
    tellPhase(VERIFICATION, 'bytes', same.bytes);
    return await allIntact(directory, ahead) ? { ...report, directory, totals: { ...report.totals, ...same, seconds: (performance.now() - started) / 1000 } } : undefined;
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
    // Of report.json verify has nothing to say but its SHA-256, and it tells of the run.
    if (before?.path !== path || (path !== REPORT && (before.size !== listed.size || before.sha256 !== listed.sha256))) return undefined;
    files += 1;
    bytes += listed.size;
  }
  return (await then.next()).done === true ? { files, bytes } : undefined;
}

async function allIntact(directory: string, ahead: Pick<DigestsAhead, 'has'> | undefined): Promise<boolean> {
  const waiting = (await readManifest(join(directory, MANIFEST))).files;
  let intact = true;
  await Promise.all(Array.from({ length: AT_ONCE }, async () => {
    const buffer = newBuffer();
    for await (const file of waiting) {
      const path = join(directory, file.path);
      if (await ahead?.has(file) !== true && !(await isIntact(path, file, buffer))) intact = false;
      if (!intact) return;
      tellProgress(file.size);
    }
  }));
  return intact;
}
