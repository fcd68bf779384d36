/**
 * Zulip 9 to 11 take a realm without an audit row "exported" for one of another product, and bring it up to the newest of
 * Zulip's update announcements (zerver/lib/zulip_update_announcements.py). They assert that it is behind: a realm that has read
 * them all ends the import with an AssertionError, after everything is there and active.
 */
import type { TableFile } from '../pipe/table-file.js';
import { announcementLevel } from './row-faults.js';

/** The newest level that each release was published with, by major version. */
const NEWEST: Readonly<Record<number, number>> = { 8: 0, 9: 8, 10: 15, 11: 21 };

/** @param version of the export, which is that of the new server too, as in `11.0-dev+git` */
export function announcementFault(files: readonly TableFile[], version: string | null): string | undefined {
  const level = announcementLevel(files);
  const major = Number.parseInt(version ?? '', 10);
  const [newest, before] = [NEWEST[major], NEWEST[major - 1]];
  if (level === undefined || newest === undefined || before === undefined) return undefined;
  const certain = level >= newest;
  if (!certain && (level < before || !version?.includes('dev'))) return undefined;
  return `the import ${certain ? 'will' : 'may'} end with an AssertionError and exit code 1 although the realm is whole and active by then, `
    + `since its zulip_update_announcements_level ${level} is ${certain ? '' : 'perhaps '}the newest`;
}
