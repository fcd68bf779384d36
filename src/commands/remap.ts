/** `realmlift remap`, as a table of contents: what the new server says -> rewrite -> verify -> publish. */
import { basename, dirname, resolve } from 'node:path';
import { takeOutputDirectory } from '../package/output-directory.js';
import type { RemapResult } from '../remap/remap-export.js';
import { applyRemap, prepareRemap, requireBase, type RemapRequest } from '../remap/remap-request.js';
import { writePage } from '../report/finish-report.js';
import { requireGood } from '../verify/require-good.js';

export interface RemappedExport extends RemapResult {
  readonly directory: string;
}

/**
 * @param input a finished export
 * @param output the directory to make
 * @param verify read the result again and check it before it is published
 * @throws RealmliftError what {@link prepareRemap} and {@link applyRemap} throw, VERIFY_FAILED, OUTPUT_*; then nothing is at the output path
 */
export async function remapDirectory(input: string, output: string, request: RemapRequest, verify: boolean): Promise<RemappedExport> {
  const prepared = await prepareRemap(request);
  requireBase(prepared);
  const place = takeOutputDirectory(dirname(resolve(output)), basename(resolve(output)), 'remove');
  try {
    const result = await applyRemap(prepared, { from: input, to: place.partial, files: 'copy' });
    const verified = verify ? await requireGood(place.partial, {}, 'nothing was published; --no-verify publishes all the same') : undefined;
    // report.json has what was counted already: other ids change nothing of it.
    await writePage(place.partial, { verified, place: { directory: place.final } });
    place.publish();
    return { ...result, directory: place.final };
  } catch (error) {
    place.discard();
    throw error;
  }
}
