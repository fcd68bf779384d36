/** The steps of a load, as they are told. */
import { tellAhead, VERIFICATION } from '../../narration.js';

export const STEPS = {
  checks: 'checks', reading: 'reading', ids: 'ids', core: 'realm, users, channels', rows: 'all other rows', indexes: 'indexes', files: 'uploaded files', images: 'images', statistics: 'statistics',
  last: 'last step',
} as const;

/** Hundredths of the time, as `make bench-load` has it of a realm with few files. */
const WEIGHTS: readonly (readonly [string, number])[] = [
  [VERIFICATION, 6], [STEPS.checks, 1], [STEPS.reading, 5], [STEPS.ids, 6], [STEPS.core, 1], [STEPS.rows, 60], [STEPS.files, 14], [STEPS.images, 2], [STEPS.statistics, 3], [STEPS.last, 2],
];

export const UPDATE_STEPS = { used: 'use since the load', ids: STEPS.ids, rows: 'what differs', files: STEPS.files, last: STEPS.last } as const;

const UPDATE_WEIGHTS: readonly (readonly [string, number])[] = [[VERIFICATION, 25], [STEPS.checks, 2], [STEPS.reading, 10], [UPDATE_STEPS.used, 8], [UPDATE_STEPS.ids, 15], [UPDATE_STEPS.rows, 30], [UPDATE_STEPS.files, 5], [UPDATE_STEPS.last, 5]];

export function tellUpdateAhead(dryRun: boolean): void {
  tellAhead(UPDATE_WEIGHTS.slice(0, dryRun ? 2 : undefined).map(([name, weight]) => ({ name, weight })));
}

export function tellLoadAhead(dryRun: boolean): void {
  tellAhead(WEIGHTS.slice(0, dryRun ? 3 : undefined).map(([name, weight]) => ({ name, weight })));
}
