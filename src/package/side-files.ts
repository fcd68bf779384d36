/**
 * What lies beside an export and is no part of it: pages to look at, and how long the run took. The manifest does not list it;
 * verify, merge, remap and pipe pass over it, and two exports of the same rows may differ in it.
 */
export const REPORT_PAGE = 'report.html';
export const TIMES = 'times.json';

export const SIDE_FILES: ReadonlySet<string> = new Set([REPORT_PAGE, TIMES]);
