/** The exports that Zulip's own `manage.py export` wrote, unpacked for comparison. */
import { createHash, randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { unpackArchive } from './tar-archive.js';
import { testData } from './test-data.js';
import type { Dataset } from './test-data.js';

/** Among the compiled files: unpacked once, by content, and removed by `make clean`. */
const UNPACKED = join(import.meta.dirname, '..', '..', 'test-data');

/**
 * The directory of an expected export, e.g. `expectedExport('zulip-11/local', 'acme-full')`. All tests share
 * it: do not change it.
 */
export async function expectedExport(dataset: Dataset, name: string): Promise<string> {
  return join(await unpackOnce(testData(dataset, 'expected', `${name}.tar.gz`)), name);
}

/** The uploads directory (LOCAL_UPLOADS_DIR) of a data set with local files, unpacked like an expected export. */
export async function uploadsDirectory(dataset: Exclude<Dataset, 'zulip-11/s3'>): Promise<string> {
  return unpackOnce(testData(dataset, 'uploads.tar.gz'));
}

async function unpackOnce(archive: string): Promise<string> {
  const content = createHash('sha256').update(await readFile(archive)).digest('hex').slice(0, 16);
  const target = join(UNPACKED, content);
  if (existsSync(target)) return target;
  const partial = `${target}.${randomUUID()}`;
  await unpackArchive(archive, partial);
  // Another process may have been quicker; its directory holds the same.
  await rename(partial, target).catch(() => rm(partial, { recursive: true }));
  return target;
}
