/** The page of a run of several exports: one line each, the troubled ones first. */
import { thousands } from '../cli/summary.js';
import { html, page, table } from './html.js';

export interface IndexEntry {
  readonly name: string;
  /** Of its page, relative to the index; undefined for one that failed. */
  readonly link: string | undefined;
  readonly verdict: string;
  readonly rows: number;
  readonly files: number;
  readonly lost: number;
}

export function indexPage(entries: readonly IndexEntry[]): string {
  const failed = entries.filter(({ link }) => link === undefined).length;
  const lost = entries.reduce((sum, each) => sum + each.lost, 0);
  const kind = failed > 0 || lost > 0 ? 'bad' : 'good';
  const line = failed > 0 ? `${failed} of ${entries.length} exports failed` : lost > 0 ? `All ${entries.length} exports are there, but ${thousands(lost)} files are lost` : `All ${entries.length} exports are there`;
  const sorted = [...entries].sort((a, b) => Number(b.link === undefined) - Number(a.link === undefined) || b.lost - a.lost || (a.name < b.name ? -1 : 1));
  return page('Exports of one run', html`<h1>Exports of one run</h1>
<div class="verdict ${kind}" role="status"><strong>${line}</strong></div>
${table('The exports', ['Realm', 'state', 'rows', 'files', 'lost'], sorted.map(({ name, link, verdict, rows, files, lost }) => [
    link === undefined ? name : html`<a href="${link}">${name}</a>`, verdict, thousands(rows), thousands(files), thousands(lost),
  ]))}`);
}
