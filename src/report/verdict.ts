/** The first thing to know of an export. */
import { counted } from '../cli/summary.js';
import type { RealmFacts } from './realm-facts.js';

export interface Verdict {
  readonly kind: 'good' | 'warn' | 'bad';
  readonly line: string;
  readonly details: readonly string[];
}

export function verdictOf({ verified, lost, leftOut, written }: RealmFacts): Verdict {
  const gone = lost.reduce((sum, { kind, count }) => sum + (kind === 'lost' ? count : 0), 0);
  const stays = leftOut.reduce((sum, { count }) => sum + count, 0);
  const details = [
    ...(gone > 0 ? [`${counted(gone, 'file')} could not be fetched: they are named in report.json`] : []),
    ...(verified === undefined ? [] : [`${counted(verified.totals.files, 'file')} read again: ${counted(verified.totals.errors, 'error')}, ${counted(verified.totals.notes, 'note')}`]),
    ...(verified?.manifest === false ? ['there is no manifest.json, so nobody can say whether all is there'] : []),
    stays === 0 ? 'no row of the realm stays behind' : `${counted(stays, 'row')} of the realm ${stays === 1 ? 'stays' : 'stay'} behind, for the reasons below`,
    ...(written.warnings ?? []),
  ];
  if (verified === undefined) return { kind: gone > 0 ? 'bad' : 'warn', line: `Finished, but not read again${gone > 0 ? `; ${counted(gone, 'file')} lost` : ''}`, details };
  if (verified.totals.errors > 0) return { kind: 'bad', line: `Damaged: ${counted(verified.totals.errors, 'error')}`, details: [...verified.findings.filter(({ severity }) => severity === 'error').slice(0, 5).map(({ file, message }) => `${file}: ${message}`), ...details] };
  if (gone > 0) return { kind: 'bad', line: `Verified, but ${counted(gone, 'file')} lost`, details };
  if (verified.manifest === false) return { kind: 'warn', line: 'Its rows fit together', details };
  return { kind: 'good', line: 'Whole and verified', details };
}
