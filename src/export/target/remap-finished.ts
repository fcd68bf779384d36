/** `export --remap`: the export is finished as any other, and what is published is that export with the new server's ids. */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { EXIT, RealmliftError } from '../../errors.js';
import type { OutputDirectory } from '../../package/output-directory.js';
import type { Source } from '../../plan/source.js';
import { remapOf, type Remapped } from '../../package/remapped.js';
import { applyRemap, refuseOtherServer, requireBase, type PreparedRemap } from '../../remap/remap-request.js';

/**
 * What can be known before a row is read.
 *
 * @throws RealmliftError TARGET_VERSION, ID_BASE_MISSING, REMAP_ONE_REALM
 */
export function refuseRemap(remap: PreparedRemap, source: Source, targets: number): void {
  requireBase(remap);
  refuseOtherServer(remap, source.version);
  if (!remap.request.all || targets < 2) return;
  throw new RealmliftError('REMAP_ONE_REALM', 'usage', `--remap would give the rows of ${targets} exports the same ids`, {
    hint: 'export one at a time; or export without --remap, and join them with realmlift merge --remap', exit: EXIT.usage,
  });
}

/**
 * Files get a second name and are not copied: the first is removed with the export as it was.
 *
 * @returns the directory to publish, and what was rewritten
 */
export async function remapFinished(remap: PreparedRemap, { partial, run }: OutputDirectory): Promise<{ directory: string; remapped: Remapped }> {
  const to = join(run, 'remapped');
  // Of a run that was killed at this.
  rmSync(to, { recursive: true, force: true });
  mkdirSync(to, { mode: 0o700 });
  try {
    const { header, outside } = await applyRemap(remap, { from: partial, to, files: 'link' });
    return { directory: to, remapped: { ...remapOf(header), points_outside: outside.total } };
  } catch (error) {
    throw error instanceof RealmliftError ? error.ending('the export without it is finished: with --resume the run goes on from there') : error;
  }
}
