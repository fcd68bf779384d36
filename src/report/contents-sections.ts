/** The parts of a page that show what is in the export: messages by month, people, files, secrets, tables. */
import { counted, size, thousands } from '../numbers.js';
import { extname } from 'node:path';
import { AREAS } from '../package/export-files.js';
import { shellWord } from '../shell-word.js';
import { barChart, monthsChart, type Bar, type Series } from './charts.js';
import { fileType } from './file-types.js';
import { html, section, table, type Html } from './html.js';
import type { RealmFacts } from './realm-facts.js';
import { rowsOf } from './travel-section.js';
import { AREA_NAMES, tableName } from './words.js';

const SHOWN_TABLES = 15;
const SHOWN_CHANNELS = 12;

export function historySection({ census, report: { leftOut, state, written } }: RealmFacts): Html {
  const title = 'Messages by month';
  if (census === undefined) return section(title, html`<p>They were not counted, since the export was not read again.</p>`);
  const months = Object.entries(census.months);
  const stays: Record<string, number> = {};
  for (const each of leftOut) for (const [month, count] of Object.entries(each.months)) stays[month] = (stays[month] ?? 0) + count;
  if (months.length === 0) return section(title, html`<p>There are no messages.</p>`);
  const of = (kind: 'channel' | 'direct' | 'group'): Record<string, number> => Object.fromEntries(months.map(([month, counts]) => [month, counts[kind]]));
  const series: Series[] = [
    { name: 'in channels', colour: 1, months: of('channel') }, { name: 'direct', colour: 2, months: of('direct') },
    { name: 'in groups', colour: 3, months: of('group') }, ...(state === 'whole' && written.merged === undefined ? [{ name: 'left out', colour: 4, months: stays }] : []),
  ];
  const years = [...new Set([...months.map(([month]) => month), ...Object.keys(stays)].map((month) => month.slice(0, 4)))].sort();
  const inYear = (counts: Readonly<Record<string, number>>, year: string): string => thousands(Object.entries(counts).reduce((sum, [month, count]) => sum + (month.startsWith(year) ? count : 0), 0));
  return section(title, html`${monthsChart('Messages by the month in which they were sent', series)}
${table('The same by year', ['Year', ...series.map(({ name }) => name)], years.map((year) => [year, ...series.map((each) => inYear(each.months, year))]))}`);
}

export function peopleSection({ census, names, place, mode }: RealmFacts): Html | undefined {
  if (census === undefined) return undefined;
  const bars = (counts: Readonly<Record<string, number>>, colour: number): Bar[] =>
    Object.entries(counts).sort((a, b) => b[1] - a[1]).map(([name, value]) => ({ name, parts: [{ value, colour }], told: thousands(value) }));
  const busiest = Object.entries(census.channelMessages).sort((a, b) => b[1] - a[1]);
  const shown = busiest.slice(0, SHOWN_CHANNELS).map(([id, value]): Bar => ({ name: names?.channels.get(id) ?? `id ${id}`, parts: [{ value, colour: 1 }], told: thousands(value) }));
  return section('Members and channels', html`<div class="two"><div>${barChart('Members by kind', bars(census.users, 5))}</div><div>${barChart('Channels by kind', bars(census.channels, 3))}</div></div>
${shown.length === 0 ? undefined : barChart(busiest.length > SHOWN_CHANNELS ? `Messages in the ${SHOWN_CHANNELS} busiest of ${busiest.length} channels` : 'Messages by channel', shown)}
${names === undefined && mode !== 'user' ? html`<p class="hint">Names are shown by <code>realmlift report ${shellWord(place.directory)} --names</code>.</p>` : undefined}`);
}

export function filesSection({ areas, types, largest, names }: RealmFacts): Html {
  const bar = (name: string, { files, bytes }: { readonly files: number; readonly bytes: number }): Bar => ({ name, parts: [{ value: bytes, colour: 3 }], told: `${thousands(files)} · ${size(bytes)}` });
  const byArea = AREAS.map((area) => bar(AREA_NAMES[area] ?? area, areas.get(area) ?? { files: 0, bytes: 0 }));
  const byType = [...types].sort((a, b) => b[1].bytes - a[1].bytes).map(([type, count]) => bar(type, count));
  if ([...areas.values()].every(({ files }) => files === 0)) return section('Files', html`<p>There are no files.</p>`);
  return section('Files', html`<div class="two"><div>${barChart('By area', byArea)}</div>${byType.length === 0 ? undefined : html`<div>${barChart('Uploads by type', byType)}</div>`}</div>
${largest.length === 0 ? undefined : table('The largest files', ['File', 'size'], largest.map(({ path, size: bytes }, at) => [names === undefined ? unnamed(path, at) : path, size(bytes)]))}`);
}

/** `1. uploads, pictures`: the name stays, and so does an ending that may be one. */
function unnamed(path: string, at: number): string {
  const area = path.split('/')[0] as string;
  return `${at + 1}. ${AREA_NAMES[area] ?? area}${extname(path) === '' ? '' : `, ${fileType(path)}`}`;
}

export function secretsSection({ report: { written: { stripped_columns: stripped = [], kept_columns: kept = {}, tables_not_exported: tables = {} }, state } }: RealmFacts): Html | undefined {
  if (state !== 'whole') return undefined;
  const byReason = new Map<string, string[]>();
  for (const [name, why] of Object.entries(tables)) if (/secret|key|confirmation|login|password/i.test(why)) byReason.set(why, [...byReason.get(why) ?? [], name]);
  const code = (names: readonly string[]): Html => html`${names.map((name, at) => html`${at === 0 ? undefined : ', '}<code>${name}</code>`)}`;
  return section('Secrets', html`<p>These stayed on the old server. Who needs them makes new ones on the new server.</p>
<dl class="list"><div><dt>Passwords and API keys of users</dt><dd>no export holds them</dd></div>
${stripped.length === 0 ? undefined : html`<div><dt>Values that became empty</dt><dd>${code(stripped)}</dd></div>`}
${[...byReason].map(([why, names]) => html`<div><dt>${why[0]?.toUpperCase()}${why.slice(1)}</dt><dd>${code(names)}</dd></div>`)}</dl>
${Object.keys(kept).length === 0 ? undefined : html`<p>This travels, so the export is to be kept like a key:</p>
<dl class="list">${Object.entries(kept).map(([column, why]) => html`<div><dt><code>${column}</code></dt><dd>${why}</dd></div>`)}</dl>`}`);
}

export function tablesSection(facts: RealmFacts): Html | undefined {
  const rows = rowsOf(facts);
  const bytes = facts.census?.bytes ?? {};
  const largest = Object.entries(rows).filter(([, count]) => count > 0).sort((a, b) => (bytes[b[0]] ?? 0) - (bytes[a[0]] ?? 0) || b[1] - a[1]);
  if (largest.length === 0) return undefined;
  const bars = largest.slice(0, SHOWN_TABLES).map(([name, count]) => ({
    name: tableName(name), parts: [{ value: bytes[name] ?? count, colour: 2 }], told: bytes[name] === undefined ? counted(count, 'row') : `${size(bytes[name])} · ${counted(count, 'row')}`,
  }));
  return section('Tables by size', barChart(largest.length > SHOWN_TABLES ? `The ${SHOWN_TABLES} largest of ${largest.length} tables with rows` : 'Tables with rows', bars));
}
