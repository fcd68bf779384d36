/** The page of one export: the verdict first, then what travels and what stays, and last what to do next. */
import { size, sum, thousands, time } from '../numbers.js';
import { VERSION } from '../version.js';
import { filesSection, historySection, peopleSection, secretsSection, tablesSection } from './contents-sections.js';
import { html, page, section, verdictBox, type Html } from './html.js';
import { moment } from './moment.js';
import { nextSteps } from './next-steps.js';
import type { RealmFacts } from './realm-facts.js';
import { rowsOf, travelSection } from './travel-section.js';
import { verdictOf } from './verdict.js';
import { MODE_NAMES, ownerCounts } from './words.js';

export function realmPage(facts: RealmFacts): string {
  const { names } = facts;
  const title = `Export of ${names?.realm ?? called(facts)}`;
  return page(title, html`<header><p class="kind">realmlift · export</p><h1>${title}</h1></header>
${verdictBox(verdictOf(facts))}
<dl class="facts">${essentials(facts).map(([key, value]) => html`<div><dt>${key}</dt><dd>${value}</dd></div>`)}</dl>
${tiles(facts)}
${travelSection(facts)}
${historySection(facts)}
${peopleSection(facts)}
${filesSection(facts)}
${secretsSection(facts)}
${tablesSection(facts)}
${section('What to do next', nextSteps(facts))}
<footer>Made by realmlift ${VERSION} from the export's own files. ${names === undefined ? 'No addresses, names or contents are on this page.' : 'This page holds names: --names asked for them.'}</footer>`);
}

/** The subdomain, which the root domain's realm has not. */
function called({ realm, mode, verified, report: { state } }: RealmFacts): string {
  if (realm !== '') return realm;
  if (mode === 'user') return 'one user';
  return state === 'none' || (verified?.totals.errors ?? 0) > 0 ? 'a realm' : 'the root realm';
}

function essentials({ realm, mode, version, takenAt, times, census, areas }: RealmFacts): [string, string][] {
  const bytes = sum(Object.values(census?.bytes ?? {})) + sum([...areas.values()].map((each) => each.bytes));
  const known: [string, string | undefined][] = [
    ['Realm', realm], ['What travels', mode === undefined ? undefined : MODE_NAMES[mode] ?? mode], ['Zulip', version], ['As of', takenAt === undefined ? undefined : moment(takenAt)],
    ['Took', times === undefined ? undefined : `${time(times.seconds)}${times.verify_seconds === null ? '' : ` (${time(times.verify_seconds)} to read it again)`}`],
    ['Size', bytes === 0 ? undefined : size(bytes)],
  ];
  return known.filter((each): each is [string, string] => each[1] !== undefined && each[1] !== '');
}

function tiles(facts: RealmFacts): Html {
  const rows = rowsOf(facts);
  const counts = ownerCounts((table) => rows[table] ?? 0, sum([...facts.areas.values()].map(({ files }) => files)));
  return html`<ul class="tiles">${counts.map(([count, what]) => html`<li><b>${thousands(count)}</b><span>${what}${count === 1 ? '' : 's'}</span></li>`)}</ul>`;
}
