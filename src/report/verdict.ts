/** The first thing to know of an export. */
import { counted } from '../numbers.js';
import { areaOf, recordsOf } from '../package/export-files.js';
import { MANIFEST } from '../package/manifest.js';
import { remappedBy } from '../package/remapped.js';
import type { Finding } from '../verify/findings.js';
import type { RealmFacts } from './realm-facts.js';
import { idsText } from './words.js';

export interface Verdict {
  readonly kind: 'good' | 'warn' | 'bad';
  readonly line: string;
  readonly details: readonly string[];
}

/** So many findings are shown. */
const SHOWN = 8;

export function verdictOf(facts: RealmFacts): Verdict {
  const { verified, report: { lost }, names } = facts;
  const gone = lost.reduce((sum, { kind, count }) => sum + (kind === 'lost' ? count : 0), 0);
  const lostLine = gone === 0 ? [] : [`${counted(gone, 'file')} could not be fetched: report.json names ${gone === 1 ? 'it' : 'each'}.`];
  if (verified === undefined) {
    return { kind: gone > 0 ? 'bad' : 'warn', line: `Finished, but not read again${gone > 0 ? `, and ${counted(gone, 'file')} lost` : ''}`, details: [...lostLine, ...circumstances(facts)] };
  }
  const errors = verified.findings.filter(({ severity }) => severity === 'error');
  const notes = verified.findings.filter(({ severity }) => severity === 'note');
  const told = (findings: readonly Finding[], total: number): string[] => [
    ...findings.slice(0, SHOWN).map((finding) => tell(finding, names !== undefined)), ...(total > SHOWN ? [`… and ${total - SHOWN} more: realmlift verify lists them.`] : []),
  ];
  if (verified.totals.errors > 0) {
    const differing = new Set(errors.filter(({ file, message }) => file === MANIFEST || message.includes('the manifest')).map(({ file }) => file));
    const line = differing.size > 0 ? 'Changed since it was finished: it is not what its manifest says' : `Damaged: ${counted(verified.totals.errors, 'error')}`;
    return { kind: 'bad', line, details: [...told(errors, verified.totals.errors), ...lostLine, ...circumstances(facts)] };
  }
  const read = `All of it was read again: ${counted(verified.totals.files, 'file')}, no error${verified.totals.notes === 0 ? '' : `, ${counted(verified.totals.notes, 'note')}`}.`;
  const details = [...lostLine, read, ...told(notes.filter(({ file }) => file !== MANIFEST), 0).map((note) => `Note: ${note}`), ...circumstances(facts)];
  if (gone > 0) return { kind: 'bad', line: `Verified, but ${counted(gone, 'file')} lost`, details };
  if (!verified.manifest) return { kind: 'warn', line: 'Its rows and files fit together', details };
  return { kind: 'good', line: 'Whole and verified', details };
}

function circumstances(facts: RealmFacts): string[] {
  const { verified, report: { written, state } } = facts;
  const joined = written.merged?.length ?? 0;
  const remapped = remappedBy(written);
  return [
    ...(verified?.manifest === false ? ['There is no manifest.json, as in exports that Zulip itself wrote: nobody can say whether all of it is there.'] : []),
    ...(state === 'damaged' ? ['report.json cannot be read: what stayed, and why, is not known.'] : []),
    ...(joined > 0 ? [`It was joined of ${counted(joined, 'export')}.`] : []),
    ...(remapped === undefined ? [] : [`Rewritten for the new server: ${idsText(remapped)}.`]),
    ...stays(facts), ...(written.warnings ?? []).map((warning) => `Warning: ${warning}`),
  ];
}

function stays({ report: { leftOut, written, state } }: RealmFacts): string[] {
  if (state !== 'whole') return [];
  const count = leftOut.reduce((sum, each) => sum + each.count, 0);
  if (written.merged !== undefined) return count === 0 ? [] : [`${counted(count, 'row')} of the exports did not fit into the whole.`];
  return [count === 0 ? 'No row of the realm stays behind.' : `${counted(count, 'row')} of the realm ${count === 1 ? 'stays' : 'stay'} behind, for the reasons below.`];
}

/** Top-level files that every export has. */
const KNOWN = /^((realm|user|analytics|attachment|migration_status|stats|report|manifest|id_maps|[a-z_]*consent[a-z_]*|(report|id_maps)-of-\d+|messages-[\d*]+)\.(json|txt)|(uploads|avatars|emoji|realm_icons)\/records\.json)$/;

/** A finding without what people called their files, unless that was asked for. */
function tell({ file, message }: Finding, named: boolean): string {
  const area = areaOf(file);
  // Of records verify gives paths as examples, in brackets at the end.
  const text = named || area === undefined ? message : message.replace(/ \(.*\)$/s, '');
  if (named || KNOWN.test(file)) return `${file}: ${text}`;
  return `${area === undefined || file === recordsOf(area) ? 'a file that is no part of an export' : `a file in ${area}`}: ${text}`;
}
