/** The exports that Zulip's own `manage.py export` wrote, unpacked for comparison. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { unpackArchive } from './tar-archive.js';
import { testData } from './test-data.js';
import type { Dataset } from './test-data.js';

const unpacked = new Map<string, Promise<string>>();

/**
 * The directory of an expected export, e.g. `expectedExport('zulip-11/local', 'acme-full')`. Unpacked once per process and
 * removed when it exits: do not change it.
 */
export async function expectedExport(dataset: Dataset, name: string): Promise<string> {
  return join(await unpackOnce(testData(dataset, 'expected', `${name}.tar.gz`)), name);
}

/** The uploads directory (LOCAL_UPLOADS_DIR) of a data set with local files, unpacked like an expected export. */
export async function uploadsDirectory(dataset: 'zulip-11/local' | 'zulip-8/local'): Promise<string> {
  return unpackOnce(testData(dataset, 'uploads.tar.gz'));
}

async function unpackOnce(archive: string): Promise<string> {
  const directory = unpacked.get(archive) ?? unpack(archive);
  unpacked.set(archive, directory);
  return directory;
}

async function unpack(archive: string): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), 'realmlift-data-'));
  process.once('exit', () => rmSync(directory, { recursive: true, force: true }));
  await unpackArchive(archive, directory);
  return directory;
}
