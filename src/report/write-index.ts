/** OUT/report.html of a run of several exports, beside their manifest. */
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Outcome } from '../export.js';
import { AREAS } from '../files/wanted-files.js';
import { diskError } from '../package/part-file.js';
import { REPORT_PAGE } from '../package/side-files.js';
import { indexPage, type IndexEntry } from './index-page.js';

/** @throws RealmliftError as diskError */
export function writeIndex(output: string, outcomes: readonly Outcome[]): void {
  const path = join(output, REPORT_PAGE);
  try {
    writeFileSync(`${path}.partial`, indexPage(outcomes.map(entryOf)), { mode: 0o600 });
    renameSync(`${path}.partial`, path);
  } catch (error) {
    throw diskError(error, path);
  }
}

function entryOf(outcome: Outcome): IndexEntry {
  const { name, directory } = outcome.target;
  if ('error' in outcome) return { name, link: undefined, verdict: `failed: ${outcome.error.code}`, rows: 0, files: 0, lost: 0 };
  const { rows, files, losses, verified } = outcome.result;
  return {
    name, link: [...directory.split('/').map(encodeURIComponent), REPORT_PAGE].join('/'), verdict: verified === undefined ? 'not read again' : 'verified',
    rows: [...rows.values()].reduce((sum, each) => sum + each, 0), files: AREAS.reduce((sum, area) => sum + files.areas[area].found, 0),
    lost: losses.filter(({ kind }) => kind === 'lost').length,
  };
}
