/** The page of a run of several exports: one line each, the troubled ones first. */
import { counted, thousands } from '../numbers.js';
import { html, page, table, verdictBox } from './html.js';
import { moment } from './moment.js';

export interface IndexEntry {
  readonly name: string;
  /** Of its page, relative to the index; undefined where there is none, or where the path would name somebody. */
  readonly link: string | undefined;
  readonly failed: boolean;
  readonly verdict: string;
  /** When the snapshot of an export was taken that an earlier run finished. */
  readonly before?: string | undefined;
  readonly rows: number;
  readonly files: number;
  readonly lost: number;
}

export function indexPage(entries: readonly IndexEntry[]): string {
  const failed = entries.filter((each) => each.failed).length;
  const sum = (of: (entry: IndexEntry) => number): number => entries.reduce((total, each) => total + of(each), 0);
  const lost = sum((each) => each.lost);
  const line = failed > 0 ? `${failed} of ${entries.length} exports failed` : lost > 0 ? `All ${entries.length} exports are there, but ${counted(lost, 'file')} ${lost === 1 ? 'is' : 'are'} lost` : `All ${entries.length} exports are there`;
  const details = [
    `${thousands(sum(({ rows }) => rows))} rows and ${counted(sum(({ files }) => files), 'file')}, ${entries.some(({ before }) => before !== undefined) ? 'not all out of one snapshot: what was finished before is out of the one of that moment' : 'all out of one snapshot'}.`,
    ...(failed > 0 ? ['The others are whole; run the same command with --resume for those that failed.'] : []),
  ];
  const sorted = [...entries].sort((a, b) => Number(b.failed) - Number(a.failed) || b.lost - a.lost || (a.name < b.name ? -1 : 1));
  return page('Exports of one run', html`<header><p class="kind">realmlift · exports</p><h1>Exports of one run</h1></header>
${verdictBox({ kind: failed > 0 || lost > 0 ? 'bad' : 'good', line, details })}
<section>${table('The exports, the troubled ones first', ['Realm', 'state', 'rows', 'files', 'lost'], sorted.map(({ name, link, failed: bad, verdict, before, rows, files, lost: gone }) => [
    link === undefined ? name : html`<a href="${link}">${name}</a>`, bad ? html`<span class="lost">${verdict}</span>` : before === undefined ? verdict : `${verdict}, finished before: ${moment(before)}`, thousands(rows), thousands(files), gone === 0 ? '0' : html`<span class="lost">${thousands(gone)}</span>`,
  ]))}</section>`);
}
