/** OUT/report.html of a run of several exports, beside their manifest. */
import { join } from 'node:path';
import type { Outcome } from '../export/outcome.js';
import { AREAS } from '../files/wanted-files.js';
import { writeOwn } from '../package/own-path.js';
import { diskError } from '../package/part-file.js';
import { REPORT_PAGE } from '../package/side-files.js';
import { indexPage, type IndexEntry } from './index-page.js';

/** @returns its path @throws RealmliftError OUTPUT_UNSAFE, as diskError */
export function writeIndex(output: string, outcomes: readonly Outcome[]): string {
  const path = join(output, REPORT_PAGE);
  try {
    writeOwn(path, indexPage(outcomes.map(entryOf)));
  } catch (error) {
    throw diskError(error, path);
  }
  return path;
}

/** Single users are told by their ids: their directories are named after their addresses. */
function entryOf(outcome: Outcome): IndexEntry {
  const { directory, realm: { stringId }, userId } = outcome.target;
  const name = userId === undefined ? (stringId === '' ? 'the root realm' : stringId) : `${stringId}, user ${userId}`;
  if ('error' in outcome) return { name, link: undefined, failed: true, verdict: `failed: ${outcome.error.code}`, rows: 0, files: 0, lost: 0 };
  const { rows, files, losses, verified } = outcome.result;
  return {
    name, link: userId !== undefined ? undefined : [...directory.split('/').map(encodeURIComponent), REPORT_PAGE].join('/'), failed: false, verdict: verified === undefined ? 'not read again' : 'verified',
    rows: [...rows.values()].reduce((sum, each) => sum + each, 0), files: AREAS.reduce((sum, area) => sum + files.areas[area].found, 0),
    lost: losses.filter(({ kind }) => kind === 'lost').length,
  };
}
