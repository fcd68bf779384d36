/** OUT/report.html of a run of several exports, beside their manifest. */
import { join } from 'node:path';
import { filesOf, lostOf, rowsOf, type ListedTarget, type Outcome } from '../export/outcome.js';
import { writeOwn } from '../package/own-path.js';
import { diskError } from '../package/part-file.js';
import { REPORT_PAGE } from '../package/side-files.js';
import { indexPage, type IndexEntry } from './index-page.js';

/** @returns its path @throws RealmliftError OUTPUT_UNSAFE, as diskError */
export function writeIndex(output: string, outcomes: readonly Outcome<ListedTarget>[]): string {
  const path = join(output, REPORT_PAGE);
  try {
    writeOwn(path, indexPage(outcomes.map(entryOf)));
  } catch (error) {
    throw diskError(error, path);
  }
  return path;
}

/** Single users are told by their ids: their directories are named after their addresses. */
function entryOf(outcome: Outcome<ListedTarget>): IndexEntry {
  const { directory, realm: { stringId }, userId } = outcome.target;
  const name = userId === undefined ? (stringId === '' ? 'the root realm' : stringId) : `${stringId}, user ${userId}`;
  const counts = { rows: rowsOf(outcome), files: filesOf(outcome), lost: lostOf(outcome) };
  if ('error' in outcome) return { name, link: undefined, failed: true, verdict: `failed: ${outcome.error.code}`, ...counts };
  const verified = 'earlier' in outcome ? outcome.earlier.verified : outcome.result.verified !== undefined;
  return {
    name, link: userId !== undefined ? undefined : [...directory.split('/').map(encodeURIComponent), REPORT_PAGE].join('/'), failed: false, verdict: verified ? 'verified' : 'not read again',
    before: 'earlier' in outcome ? outcome.earlier.snapshot.takenAt : undefined, ...counts,
  };
}
