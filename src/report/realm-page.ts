/** The page of one export: the verdict first, then what travels and what stays, and last what to do next. */
import { size, thousands } from '../cli/summary.js';
import { AREAS } from '../files/wanted-files.js';
import { DATA_CLASSES, loadRegistry } from '../plan/registry.js';
import { VERSION } from '../version.js';
import { barChart, monthsChart, type Series } from './charts.js';
import { duration } from './duration.js';
import { html, page, table, type Html } from './html.js';
import { nextSteps } from './next-steps.js';
import type { RealmFacts } from './realm-facts.js';
import { verdictOf } from './verdict.js';
import { CLASS_NAMES, MODE_NAMES, TABLE_NAMES } from './words.js';

const SHOWN_TABLES = 15;
const SHOWN_CHANNELS = 15;

export function realmPage(facts: RealmFacts): string {
  const name = facts.names?.realm ?? facts.realm;
  const verdict = verdictOf(facts);
  return page(`Export of ${name}`, html`<h1>Export of ${name}</h1>
<div class="verdict ${verdict.kind}" role="status"><strong>${verdict.line}</strong>${verdict.details.length === 0 ? undefined : html`<ul>${verdict.details.map((each) => html`<li>${each}</li>`)}</ul>`}</div>
<dl>${essentials(facts).map(([key, value]) => html`<div><dt>${key}</dt><dd>${value}</dd></div>`)}</dl>
${tiles(facts)}
${travels(facts)}
${history(facts)}
${people(facts)}
${files(facts)}
${secrets(facts)}
${tables(facts)}
<h2>What to do next</h2>
${nextSteps(facts)}
<footer>Made by realmlift ${VERSION} from the export's own files. ${facts.names === undefined ? 'No addresses, names or contents are on this page.' : 'This page holds names: --names asked for them.'}</footer>`);
}

function essentials({ realm, mode, version, takenAt, times, census, areas }: RealmFacts): [string, string][] {
  const bytes = Object.values(census?.bytes ?? {}).reduce((sum, each) => sum + each, 0) + [...areas.values()].reduce((sum, each) => sum + each.bytes, 0);
  const known: [string, string | undefined][] = [
    ['Realm', realm], ['What travels', mode === undefined ? undefined : MODE_NAMES[mode] ?? mode], ['Zulip', version],
    ['As of', takenAt === undefined ? undefined : `${takenAt.slice(0, 10)} ${takenAt.slice(11, 19)} UTC`],
    ['Took', times === undefined ? undefined : duration(times.seconds)], ['Size', bytes === 0 ? undefined : size(bytes)],
  ];
  return known.filter((each): each is [string, string] => each[1] !== undefined && each[1] !== '');
}

function tiles({ written, verified, areas }: RealmFacts): Html {
  const rows = verified?.totals.rows ?? written.rows ?? {};
  const users = (rows['zerver_userprofile'] ?? 0) + (rows['zerver_userprofile_mirrordummy'] ?? 0);
  const counts: [number, string][] = [
    [users, 'users'], [rows['zerver_stream'] ?? 0, 'channels'], [rows['zerver_message'] ?? 0, 'messages'],
    [rows['zerver_reaction'] ?? 0, 'reactions'], [[...areas.values()].reduce((sum, each) => sum + each.files, 0), 'files'],
  ];
  return html`<ul class="tiles">${counts.map(([count, what]) => html`<li><b>${thousands(count)}</b><span>${what}</span></li>`)}</ul>`;
}

function travels({ written, verified, leftOut, lost }: RealmFacts): Html {
  const rows = verified?.totals.rows ?? written.rows ?? {};
  const views = loadRegistry().tables;
  const bars = DATA_CLASSES.map((dataClass) => {
    const travelling = Object.entries(rows).reduce((sum, [name, count]) => sum + (views.get(name)?.dataClass === dataClass ? count : 0), 0);
    const staying = leftOut.reduce((sum, each) => sum + (each.dataClass === dataClass ? each.count : 0), 0);
    return { name: CLASS_NAMES[dataClass], parts: [{ value: travelling, colour: 1 }, { value: staying, colour: 4 }], told: staying === 0 ? thousands(travelling) : `${thousands(travelling)}, ${thousands(staying)} stay` };
  });
  return html`<h2>What travels and what stays</h2>
${barChart('Rows that travel, and behind them rows that stay', bars)}
${leftOut.length === 0 ? html`<p>No row of the realm stays behind.</p>` : html`<p>These stay, each named by its id in <code>report.json</code>:</p>
<ul>${leftOut.map(({ count, dataClass, reason }) => html`<li>${thousands(count)} of ${CLASS_NAMES[dataClass] ?? dataClass}: ${reason}</li>`)}</ul>`}
${lost.length === 0 ? undefined : html`<p>Files that are not as they should be:</p>
<ul>${lost.map(({ area, kind, reason, count }) => html`<li class="${kind === 'lost' ? 'lost' : ''}">${thousands(count)} of ${area}: ${kind === 'skipped' ? 'the owner may not travel' : kind === 'other-size' ? 'of another size than their row says' : kind}${reason === undefined ? undefined : `, ${reason}`}</li>`)}</ul>`}`;
}

function history({ census, leftOut }: RealmFacts): Html | undefined {
  if (census === undefined) return html`<h2>Messages by month</h2><p>They were not counted, since the export was not read again: <code>realmlift report</code> does.</p>`;
  const months = Object.entries(census.months);
  const stays: Record<string, number> = {};
  for (const each of leftOut) for (const [month, count] of Object.entries(each.months)) stays[month] = (stays[month] ?? 0) + count;
  if (months.length === 0) return html`<h2>Messages by month</h2><p>There are no messages.</p>`;
  const of = (kind: 'channel' | 'direct' | 'group'): Record<string, number> => Object.fromEntries(months.map(([month, counts]) => [month, counts[kind]]));
  const series: Series[] = [
    { name: 'in channels', colour: 1, months: of('channel') }, { name: 'direct', colour: 2, months: of('direct') },
    { name: 'in groups', colour: 3, months: of('group') }, { name: 'left out', colour: 4, months: stays },
  ];
  const years = [...new Set([...months.map(([month]) => month), ...Object.keys(stays)].map((month) => month.slice(0, 4)))].sort();
  const inYear = (counts: Readonly<Record<string, number>>, year: string): string => thousands(Object.entries(counts).reduce((sum, [month, count]) => sum + (month.startsWith(year) ? count : 0), 0));
  return html`<h2>Messages by month</h2>
${monthsChart('Messages by the month in which they were sent', series)}
${table('The same by year', ['Year', ...series.map(({ name }) => name)], years.map((year) => [year, ...series.map((each) => inYear(each.months, year))]))}`;
}

function people({ census, names, directory }: RealmFacts): Html | undefined {
  if (census === undefined) return undefined;
  const bars = (counts: Readonly<Record<string, number>>, colour: number): Parameters<typeof barChart>[1] =>
    Object.entries(counts).sort((a, b) => b[1] - a[1]).map(([name, value]) => ({ name, parts: [{ value, colour }], told: thousands(value) }));
  const busiest = Object.entries(census.channelMessages).sort((a, b) => b[1] - a[1]).slice(0, SHOWN_CHANNELS);
  return html`<h2>Members and channels</h2>
${barChart('Members by kind', bars(census.users, 1))}
${barChart('Channels by kind', bars(census.channels, 3))}
${busiest.length === 0 ? undefined : table('The busiest channels', ['Channel', 'messages'], busiest.map(([id, count]) => [names?.channels.get(id) ?? `id ${id}`, thousands(count)]))}
${names === undefined ? html`<p>Names are shown by <code>realmlift report ${directory} --names</code>.</p>` : undefined}`;
}

function files({ areas, types, largest, names }: RealmFacts): Html {
  const bars = AREAS.map((area) => {
    const { files, bytes } = areas.get(area) ?? { files: 0, bytes: 0 };
    return { name: area.replace('_', ' '), parts: [{ value: bytes, colour: 3 }], told: `${thousands(files)}, ${size(bytes)}` };
  });
  const byType = [...types].sort((a, b) => b[1].bytes - a[1].bytes).map(([type, { files, bytes }]) => [type, thousands(files), size(bytes)]);
  return html`<h2>Files</h2>
${barChart('Files by area', bars)}
${byType.length === 0 ? undefined : table('Uploads by type', ['Type', 'files', 'size'], byType)}
${largest.length === 0 ? undefined : table('The largest files', ['File', 'size'], largest.map(({ path, size: bytes }, at) => [names === undefined ? `${at + 1}. in ${path.split('/')[0] as string}` : path, size(bytes)]))}`;
}

function secrets({ written: { stripped_columns: stripped = [], kept_columns: kept = {}, tables_not_exported: tables = {} } }: RealmFacts): Html | undefined {
  const secret = Object.entries(tables).filter(([, why]) => /secret|key|confirmation|login|password/i.test(why));
  if (stripped.length + secret.length + Object.keys(kept).length === 0) return undefined;
  return html`<h2>Secrets</h2>
<p>These stayed on the old server. Whoever needs them makes new ones on the new server.</p>
<ul>${stripped.map((column) => html`<li><code>${column}</code></li>`)}${secret.map(([name, why]) => html`<li><code>${name}</code>: ${why}</li>`)}</ul>
${Object.keys(kept).length === 0 ? undefined : html`<p>This travels, and should be kept like a key:</p><ul>${Object.entries(kept).map(([column, why]) => html`<li><code>${column}</code>: ${why}</li>`)}</ul>`}`;
}

function tables({ census, written, verified }: RealmFacts): Html {
  const rows = verified?.totals.rows ?? written.rows ?? {};
  const bytes = census?.bytes ?? {};
  const largest = Object.entries(rows).filter(([, count]) => count > 0).sort((a, b) => (bytes[b[0]] ?? 0) - (bytes[a[0]] ?? 0) || b[1] - a[1]);
  const bars = largest.slice(0, SHOWN_TABLES).map(([name, count]) => ({
    name: TABLE_NAMES[name] ?? name.replace(/^(zerver|analytics)_/, ''), parts: [{ value: bytes[name] ?? count, colour: 2 }],
    told: bytes[name] === undefined ? `${thousands(count)} rows` : `${size(bytes[name])}, ${thousands(count)} rows`,
  }));
  return html`<h2>Tables by size</h2>
${barChart(`The ${Math.min(SHOWN_TABLES, largest.length)} largest of ${largest.length} tables with rows`, bars)}`;
}
