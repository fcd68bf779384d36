/** The content of a file of the export on its way to the new server. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { ioReason } from '../../io-reason.js';
import { changed } from '../../pipe/table-file.js';
import type { PlannedFile } from './file-plan.js';

/**
 * Its bytes, which end well only if they are those of the manifest. What goes wrong here is told as a fault of the export, and not of the place that the
 * bytes go to.
 *
 * @throws RealmliftError EXPORT_CHANGED
 */
export async function* contentOf({ path, sha256 }: PlannedFile, from: string): AsyncGenerator<Buffer, void> {
  const digest = createHash('sha256');
  try {
    for await (const chunk of createReadStream(from) as AsyncIterable<Buffer>) {
      digest.update(chunk);
      yield chunk;
    }
  } catch (cause) {
    throw changed(path, `it cannot be read: ${ioReason(cause)}`, cause);
  }
  if (digest.digest('hex') !== sha256) throw changed(path, 'its content is another');
}
