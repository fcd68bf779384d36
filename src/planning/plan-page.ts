/** The page of `plan --html`: what an export would take and what it would leave, before any row leaves. */
import { counted, size, thousands, time } from '../numbers.js';
import type { PlannedExport } from './planned-export.js';
import { loadRegistry } from '../plan/views/registry.js';
import { barChart } from '../report/charts.js';
import { html, page, section, verdictBox, type Html } from '../report/html.js';
import { stayWords } from '../report/stay-words.js';
import { MODE_NAMES, tableName } from '../report/words.js';

export function planPage(plans: readonly PlannedExport[]): string {
  const one = plans.length === 1 ? plans[0]?.target : undefined;
  const title = one === undefined ? 'Plan of an export' : `Plan of an export of ${one}`;
  return page(title, html`<header><p class="kind">realmlift · plan</p><h1>${title}</h1></header>
<p>Nothing has been exported. Rows are counted; bytes and times are estimated.</p>
${plans.map((plan) => planned(plan, one === undefined))}`);
}

function planned(plan: PlannedExport, named: boolean): Html {
  const { target, mode, zulip, tables, files, leftOut, stripped, unknownTables } = plan;
  const total = tables.reduce((sum, { rows }) => sum + rows, 0);
  const stays = leftOut.reduce((sum, { rows }) => sum + rows, 0);
  const dataClasses = new Map(loadRegistry().ledger.map((view) => [view.name, view.loss?.dataClass ?? '']));
  const facts: [string, string][] = [
    ['What would travel', MODE_NAMES[mode] ?? mode], ['Zulip', zulip.release], ['Rows', thousands(total)], ['Files', `${thousands(files.uploads)}, ${size(files.bytes)}`],
    ['Disk', `about ${size(plan.disk)}`], ['Time without the files', `about ${time(plan.seconds)}`],
  ];
  const verdict = verdictBox({
    kind: unknownTables.length > 0 ? 'warn' : 'good', line: `${thousands(total)} rows would travel, ${thousands(stays)} would stay`,
    details: unknownTables.length === 0 ? [] : [`Tables that nothing classifies would stay: ${unknownTables.join(', ')}`],
  });
  const travelling = [...tables].filter(({ rows }) => rows > 0).sort((a, b) => b.bytes - a.bytes);
  return html`${named ? html`<h2 class="target">${target}</h2>` : undefined}
${verdict}
<dl class="facts">${facts.map(([key, value]) => html`<div><dt>${key}</dt><dd>${value}</dd></div>`)}</dl>
${section('What would stay', html`${leftOut.length === 0 ? html`<p>No row of the realm would stay behind.</p>` : html`<ul>${leftOut.map(({ what, reason, rows }) => stayWords({ what, reason, count: rows, dataClass: dataClasses.get(what) ?? what })).map(([count, reason]) => html`<li><b>${count}</b>: ${reason}</li>`)}</ul>`}
${stripped.length === 0 ? undefined : html`<p>Secrets that would stay, beside passwords and API keys: ${stripped.map((column, at) => html`${at === 0 ? undefined : ', '}<code>${column}</code>`)}</p>`}`)}
${section('What would travel', barChart('Tables by size', travelling.map(({ table, rows, bytes, estimated }) => ({
    name: tableName(table), parts: [{ value: bytes, colour: 1 }], told: `${estimated ? 'about ' : ''}${counted(rows, 'row')}, about ${size(bytes)}`,
  }))))}`;
}
