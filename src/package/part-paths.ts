/** Where the parts of an export lie, relative to the run's directory. */
import { RUN_DIRECTORY } from './output-directory.js';

export const PARTS_DIRECTORY = `${RUN_DIRECTORY}/parts`;

/** Rows of one table, put together with others to realm.json and the like at the end. */
export function partPath(table: string): string {
  return `${PARTS_DIRECTORY}/${table}.json`;
}

const LEDGER_PREFIX = `${PARTS_DIRECTORY}/ledger-`;

export function isLedgerPath(path: string): boolean {
  return path.startsWith(LEDGER_PREFIX);
}

/** Rows of one view of the ledger, for report.json. */
export function ledgerPath(view: string): string {
  return `${LEDGER_PREFIX}${view}.json`;
}
