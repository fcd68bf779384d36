/**
 * An export is made of ordinary files. One that came from elsewhere may hold others, at which a reader would wait for ever or which lead it
 * out of the directory: they are found before anything is opened.
 */
import { lstatSync } from 'node:fs';
import { join } from 'node:path';
import { walk } from '../package/directory-walk.js';
import { CONSENT_FILES } from '../package/consent-files.js';
import { MIGRATION_STATUS } from '../package/export-files.js';
import { MANIFEST } from '../package/manifest.js';
import type { FindingList } from './findings.js';

/** Files that are read whole. */
const SMALL: ReadonlySet<string> = new Set(['stats.json', 'stats.txt', MIGRATION_STATUS, ...CONSENT_FILES]);

/** Bytes of such a file: the statistics of a hundred million messages take 10 MB. */
const LARGEST = 128 * 1024 * 1024;

/** @returns whether all that is there can be read; what cannot is told */
export function allOrdinary(directory: string, findings: FindingList): boolean {
  let ordinary = true;
  for (const { path, isFile } of walk(directory)) {
    const problem = !isFile ? 'it is no ordinary file but a link, a FIFO or a device'
      : SMALL.has(path) && lstatSync(join(directory, path)).size > LARGEST ? 'it is too large to be what its name says' : undefined;
    if (problem === undefined) continue;
    findings.add('error', path, undefined, problem);
    ordinary = false;
  }
  if (!ordinary) findings.add('note', MANIFEST, undefined, 'nothing was read, since not all of it can be');
  return ordinary;
}
