/** The page of `plan --html`: what an export would take and what it would leave, before any row leaves. */
import { size, thousands } from '../cli/summary.js';
import type { PlannedExport } from '../plan-report.js';
import { loadRegistry } from '../plan/registry.js';
import { barChart } from './charts.js';
import { duration } from './duration.js';
import { html, page, type Html } from './html.js';
import { CLASS_NAMES, MODE_NAMES, TABLE_NAMES } from './words.js';

export function planPage(plans: readonly PlannedExport[]): string {
  const one = plans.length === 1 ? plans[0]?.target : undefined;
  const title = one === undefined ? 'Plan of an export' : `Plan of an export of ${one}`;
  return page(title, html`<h1>${title}</h1>
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
    ['Disk', `about ${size(plan.disk)}`], ['Time without the files', `about ${duration(plan.seconds)}`],
  ];
  return html`${named ? html`<h2>${target}</h2>` : undefined}
<div class="verdict ${unknownTables.length > 0 ? 'warn' : 'good'}" role="status"><strong>${thousands(total)} rows would travel, ${thousands(stays)} would stay</strong>${unknownTables.length === 0 ? undefined : html`<p>Tables that nothing classifies would stay: ${unknownTables.join(', ')}</p>`}</div>
<dl>${facts.map(([key, value]) => html`<div><dt>${key}</dt><dd>${value}</dd></div>`)}</dl>
${barChart('Tables that would travel', [...tables].filter(({ rows }) => rows > 0).sort((a, b) => b.bytes - a.bytes).map(({ table, rows, bytes, estimated }) => ({
    name: TABLE_NAMES[table] ?? table, parts: [{ value: bytes, colour: 1 }], told: `${estimated ? 'about ' : ''}${thousands(rows)} rows, about ${size(bytes)}`,
  })))}
${leftOut.length === 0 ? html`<p>No row of the realm would stay behind.</p>` : html`<p>These would stay:</p><ul>${leftOut.map(({ what, reason, rows }) => html`<li>${thousands(rows)} of ${CLASS_NAMES[dataClasses.get(what) ?? ''] ?? what}: ${reason}</li>`)}</ul>`}
${stripped.length === 0 ? undefined : html`<p>Secrets that would stay:</p><ul>${stripped.map((column) => html`<li><code>${column}</code></li>`)}</ul>`}`;
}
