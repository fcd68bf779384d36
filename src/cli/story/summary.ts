/** The short text at the end of an export: what travelled, what did not and why, where it is, how long it took. */
import type { EarlierExport, ExportResult } from '../../export/outcome.js';
import type { AreaTally } from '../../files/file-events.js';
import { AREAS } from '../../package/export-files.js';
import { counted, size, sum, thousands, time } from '../../numbers.js';
import { painter } from './colour.js';
import { DATA_CLASSES } from '../../plan/views/registry.js';
import { moment } from '../../report/moment.js';
import { AREA_NAMES, CLASS_NAMES, idsText, ownerCounts } from '../../report/words.js';
import { shellWord } from '../../shell-word.js';

export function summary(result: ExportResult, seconds: number): string {
  const { plan, rows, bytes, files, directory, verified } = result;
  const total = sum(bytes.values()) + AREAS.reduce((sum, area) => sum + files.areas[area].bytes, 0);
  const lines = [`${plan.request.realm.stringId}: exported to ${directory} in ${time(seconds)}, ${size(total)}`, `  ${owned(result)}`];
  for (const dataClass of DATA_CLASSES) {
    const names = plan.tables.filter((table) => table.dataClass === dataClass).map((table) => table.name);
    const count = names.reduce((sum, name) => sum + (rows.get(name) ?? 0), 0);
    lines.push(`  ${column(CLASS_NAMES[dataClass])} ${thousands(count).padStart(9)} ${count === 1 ? 'row  ' : 'rows '} ${size(bytes.get(dataClass) ?? 0).padStart(10)}`);
  }
  for (const area of AREAS) {
    const tally = files.areas[area];
    const odd = oddities(tally);
    lines.push(`  ${column(AREA_NAMES[area] ?? area)} ${thousands(tally.found).padStart(9)} ${tally.found === 1 ? 'file ' : 'files'} ${size(tally.bytes).padStart(10)}${odd === '' ? '' : `  (${odd})`}`);
  }
  for (const { reason, count, dataClass } of result.ledger) lines.push(`  left out: ${thousands(count)} of ${CLASS_NAMES[dataClass]}: ${reason}`);
  const { stripped, kept, unknownTables, unknownColumns } = plan.review;
  if (stripped.length > 0) lines.push(`  secrets left out: ${stripped.join(', ')}`);
  for (const [column, reason] of kept) lines.push(`  kept: ${column}: ${reason}`);
  if (unknownTables.length > 0) lines.push(`  tables that nothing classifies, not exported: ${unknownTables.join(', ')}`);
  if (unknownColumns.length > 0) lines.push(`  columns that no known release has, exported: ${unknownColumns.join(', ')}`);
  if (result.remapped !== undefined) lines.push(`  ${idsText(result.remapped)}`, '  it is rewritten for the new server, and no later export can have it as its --base');
  if (verified !== undefined) lines.push(`  verified: ${thousands(verified.totals.files)} files read again in ${verified.totals.seconds.toFixed(1)} s${verified.totals.notes > 0 ? `, ${counted(verified.totals.notes, 'note')}` : ''}`);
  if (result.stored !== undefined) lines.push(`  stored by workers: ${counted(result.stored, 'object')}, each of which the bucket lists with its size and ETag; they were not read again`);
  lines.push('  report.json names each row and file that stayed; report.html is the page to look at');
  lines.push(...nextStep(result), ...lossLines(files.areas));
  return `${lines.join('\n')}\n`;
}

/** Of an export that the run found finished. */
export function earlierSummary(name: string, { directory, snapshot, files }: EarlierExport): string {
  return `${[`${name}: in ${directory}; it was finished before, out of the snapshot of ${moment(snapshot.takenAt)}`, ...lossLines(files)].join('\n')}\n`;
}

const COLUMN = Math.max(...Object.values(CLASS_NAMES).map((name) => name.length));

function column(name: string): string {
  return name.padEnd(COLUMN);
}

/** What an owner counts: `30 users, 10 channels, 278 messages (2016 to 2026), 120 reactions, 27 files`. */
function owned({ rows, files, verified }: ExportResult): string {
  const years = Object.keys(verified?.census?.months ?? {}).sort().map((month) => month.slice(0, 4));
  const span = years.length === 0 ? '' : years[0] === years.at(-1) ? ` (${years[0]})` : ` (${years[0]} to ${years.at(-1)})`;
  const found = sum(AREAS.map((area) => files.areas[area].found));
  return ownerCounts((table) => rows.get(table) ?? 0, found).map(([count, what]) => `${counted(count, what)}${what === 'message' ? span : ''}`).join(', ');
}

/** Of rows in a stream, and of a user's, none. A tar in a stream is unpacked by who reads it. */
function nextStep({ plan, directory, place = { directory } }: ExportResult): string[] {
  if (plan.request.mode === 'user' || place.directory === '') return [];
  return [`  next: ${place.fetch === undefined ? '' : `${place.fetch} && `}realmlift import-check ${shellWord(place.directory)} --target-url URL --subdomain NAME`];
}

/** Files that should have travelled: the last lines, which nobody must overlook. */
export function lossLines(files: EarlierExport['files']): string[] {
  return AREAS.flatMap((area) => {
    const { missing, failed } = files[area];
    const told = [...(missing > 0 ? [`${thousands(missing)} missing`] : []), ...(failed > 0 ? [`${thousands(failed)} failed`] : [])];
    return told.length === 0 ? [] : [painter(process.stderr)('red', `! ${area}: ${told.join(', ')}`)];
  });
}

/** What else database and store disagree on. */
function oddities({ otherSize, metadata, skipped, orphans, orphanBytes, orphansCopied, orphansListed }: AreaTally): string {
  const copied = orphansCopied === 0 ? '' : `, ${thousands(orphansCopied)} copied`;
  const counts: readonly (readonly [number, string])[] = [
    [otherSize, 'of another size than their row says'],
    [metadata.absent, 'without metadata'], [metadata.foreign, 'with foreign metadata'], [metadata.contradictory, 'with contradictory metadata'],
    [skipped, 'not to travel'], [orphans, `that no row claims, ${size(orphanBytes)}${copied}`],
  ];
  const told = counts.filter(([count]) => count > 0).map(([count, what]) => `${thousands(count)} ${what}`);
  return [...told, ...(orphansListed === 'partly' ? ['not all was listed'] : [])].join('; ');
}
