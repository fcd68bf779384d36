/** What travels to the new server and what stays on the old one: the same in numbers, in a picture and in words. */
import { counted, size, sum, thousands } from '../numbers.js';
import { DATA_CLASSES, loadRegistry } from '../plan/views/registry.js';
import { barChart } from './charts.js';
import { html, section, table, type Html } from './html.js';
import { moment } from './moment.js';
import type { LeftOut, LostFiles } from './read-report.js';
import type { RealmFacts } from './realm-facts.js';
import { stayWords } from './stay-words.js';
import { AREA_NAMES, CLASS_NAMES, lossReason, MODE_NAMES, ownerCounts, tableName } from './words.js';

/** By table, as counted, or else as written down. */
export function rowsOf({ verified, report: { written } }: Pick<RealmFacts, 'verified' | 'report'>): Readonly<Record<string, number>> {
  return verified?.totals.rows ?? written.rows ?? {};
}

export function travelSection(facts: RealmFacts): Html {
  const { report: { leftOut, lost, state, written } } = facts;
  const known = state === 'whole' && written.merged === undefined;
  return section('What travels and what stays', html`<div class="two">
<div class="side goes"><h3>Travels</h3>${travelling(facts)}</div>
<div class="side stays"><h3>Stays</h3>${known ? staying(leftOut, lost, facts) : html`<p>${unknown(facts)}</p>${lostFiles(lost)}`}</div>
</div>
${picture(facts)}
${joined(facts)}`);
}

function unknown({ report: { written, state } }: RealmFacts): string {
  if (written.merged !== undefined) return 'What stayed is told by the reports of the exports that were joined, which lie beside this page: what stays in one may travel in another.';
  return state === 'none' ? 'Nothing was written down of it. Exports of realmlift have a report.json that names each row and file that stayed.' : 'report.json cannot be read, which would say it.';
}

function travelling(facts: RealmFacts): Html {
  const rows = rowsOf(facts);
  const areas = [...facts.areas.values()];
  const [files, bytes] = [sum(areas.map((area) => area.files)), sum(areas.map((area) => area.bytes))];
  const lines = [
    ...ownerCounts((table) => rows[table] ?? 0, files).map(([count, what]) => `${counted(count, what)}${what === 'file' && count > 0 ? `, ${size(bytes)}` : ''}`),
    `${thousands(sum(Object.values(rows)))} rows of ${Object.values(rows).filter((each) => each > 0).length} tables in all`,
  ];
  return html`<ul>${lines.map((line) => html`<li>${line}</li>`)}</ul>`;
}

function staying(leftOut: readonly LeftOut[], lost: readonly LostFiles[], { report: { written } }: RealmFacts): Html {
  const secrets = (written.stripped_columns ?? []).length;
  return html`${leftOut.length === 0 ? html`<p>No row of the realm.</p>` : html`<ul>${leftOut.map(stayWords).map(([count, reason]) => html`<li><b>${count}</b>: ${reason}</li>`)}</ul>`}
${lostFiles(lost)}
<p>Passwords, API keys${secrets > 0 ? ' and other secrets (below)' : ''}, and what belongs to the old server alone.</p>`;
}

function lostFiles(lost: readonly LostFiles[]): Html | undefined {
  if (lost.length === 0) return undefined;
  return html`<ul>${lost.map(({ area, kind, reason, count }) => html`<li class="${kind === 'lost' ? 'lost' : ''}"><b>${counted(count, 'file')}</b> of ${AREA_NAMES[area] ?? area}${kind === 'lost' ? ', lost' : ''}: ${lossReason(kind, reason)}</li>`)}</ul>`;
}

function picture(facts: RealmFacts): Html {
  const rows = rowsOf(facts);
  const views = loadRegistry().tables;
  const bars = DATA_CLASSES.map((dataClass) => {
    const goes = Object.entries(rows).reduce((sum, [name, count]) => sum + (views.get(name)?.dataClass === dataClass ? count : 0), 0);
    const stays = facts.report.leftOut.reduce((sum, each) => sum + (each.dataClass === dataClass ? each.count : 0), 0);
    return { name: CLASS_NAMES[dataClass], parts: [{ value: goes, colour: 1 }, { value: stays, colour: 4 }], told: stays === 0 ? thousands(goes) : `${thousands(goes)}, ${thousands(stays)} ${stays === 1 ? 'stays' : 'stay'}` };
  });
  return barChart('Rows by kind', bars, [{ name: 'travel', colour: 1 }, ...(facts.report.leftOut.length === 0 ? [] : [{ name: 'stay', colour: 4 }])]);
}

function joined({ report: { written: { merged, disagreements = {} } } }: RealmFacts): Html | undefined {
  if (merged === undefined) return undefined;
  const differing = Object.entries(disagreements).flatMap(([name, counts]) => {
    const { differing = 0, superseded = 0 } = counts;
    return differing + superseded === 0 ? [] : [[tableName(name), thousands(differing), thousands(superseded)]];
  });
  return html`${table('The exports that were joined', ['Realm', 'what travels', 'as of'], merged.map(({ realm, mode, taken_at: at }) => [realm, MODE_NAMES[mode] ?? mode, moment(at)]))}
${differing.length === 0 ? html`<p>Where they tell of the same, they agree.</p>` : table('Where they differed; the later one was taken', ['What', 'differed', 'made anew'], differing)}`;
}
