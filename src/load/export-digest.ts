/** What an export is, in one number: a load is only gone on with from the same one. */
import { join } from 'node:path';
import { MANIFEST } from '../package/manifest.js';
import { digestOf } from '../package/part-file.js';
import type { FinishedExport } from '../pipe/finished-export.js';

/** SHA-256 of the manifest, which has that of every file. */
export async function digestOfExport({ directory }: FinishedExport): Promise<string> {
  return (await digestOf(join(directory, MANIFEST))).sha256;
}
