/** What to do with an export now, with its own names, to be copied. */
import { subdomainFault } from '../arrival/subdomain.js';
import { shellWord } from '../shell-word.js';
import { html, type Html } from './html.js';
import type { RealmFacts } from './realm-facts.js';

interface Step {
  readonly what: Html;
  /** Each a command; its further lines are its options. */
  readonly commands: readonly (readonly string[])[];
}

export function nextSteps(facts: RealmFacts): Html {
  return html`<ol class="steps">${steps(facts).map(({ what, commands }) => html`<li><p>${what}</p>${commands.length === 0 ? undefined : html`<pre>${commands.map((lines) => lines.join(' \\\n  ')).join('\n')}</pre>`}</li>`)}</ol>`;
}

function steps(facts: RealmFacts): Step[] {
  const { place, mode, verified } = facts;
  const directory = shellWord(place.directory);
  const fetch: Step[] = place.fetch === undefined ? [] : [{ what: html`Bring it to a directory, where there is room.`, commands: [[place.fetch]] }];
  // The directory is named after the user's address.
  if (mode === 'user') return [{ what: html`This is the copy that one user asked for; it is imported nowhere. Hand over the directory that holds this page as a whole.`, commands: [] }];
  const again: Step[] = verified !== undefined && verified.totals.errors === 0 ? [] : [{
    what: verified === undefined ? html`Read it again, which makes this page anew, with all that can be counted.` : html`See all that is wrong with it, and export it again: do not import it.`,
    commands: [[verified === undefined ? `realmlift report ${directory}` : `realmlift verify ${directory}`]],
  }];
  if (verified !== undefined && verified.totals.errors > 0) return [...fetch, ...again];
  return [...fetch, ...again, ...arrival(facts, directory)];
}

function arrival({ realm, version, report: { written } }: RealmFacts, directory: string): Step[] {
  const several = (written.merged?.length ?? 0) > 0 && realm.includes('+');
  const taken = realm !== '' && subdomainFault(realm, false) !== undefined;
  const subdomain = realm === '' || several ? 'SUBDOMAIN' : taken ? `${realm}-chat` : realm;
  const renamed = !taken || several ? undefined : html` The name ${realm} is one that Zulip gives to nobody: ${subdomain} stands for the one that you choose.`;
  const name = shellWord(subdomain);
  return [
    { what: html`On the new server, of the same Zulip version${version === undefined ? undefined : ` (${version})`}: ask whether the import will go through. It changes nothing.${renamed}`,
      commands: [[`realmlift import-check ${directory}`, '--target-url postgresql://zulip@new.example/zulip', `--subdomain ${name}`]] },
    { what: html`Import it.`, commands: [[`manage.py import ${name} ${directory}`]] },
    ...(several || realm === '' ? [] : [{
      what: html`When its owner has seen that all is there, deactivate the realm on the old server. A backup from before stays your way back.`, commands: [[`manage.py deactivate_realm -r ${shellWord(realm)}`]],
    }]),
  ];
}
