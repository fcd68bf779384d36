/**
 * What lies beside an export and is no part of it: pages to look at, how long the run took, and what a later export needs to catch
 * up with the server (src/export/base/origin.ts). The manifest does not list it; verify, merge, remap and pipe pass over it, and
 * two exports of the same rows may differ in it.
 */
export const REPORT_PAGE = 'report.html';
export const TIMES = 'times.json';
export const CATCH_UP = 'catch-up.journal';

export const SIDE_FILES: ReadonlySet<string> = new Set([REPORT_PAGE, TIMES, CATCH_UP]);
