/** What to do with an export now, with its own names, to be copied. */
import { subdomainFault } from '../arrival/subdomain.js';
import { html, type Html } from './html.js';
import type { RealmFacts } from './realm-facts.js';

export function nextSteps({ directory, realm, mode, version, verified }: RealmFacts): Html {
  if (mode === 'user') return html`<p>This is the copy that one user asked for; it is not imported anywhere.</p><pre>tar -czf ${realm}-user.tar.gz ${directory}</pre>`;
  const subdomain = subdomainFault(realm, false) === undefined ? realm : `${realm}-chat`;
  return html`${verified === undefined || verified.totals.errors > 0 ? html`<p>Read it again:</p><pre>realmlift verify ${directory}</pre>` : undefined}
<p>On the new server, of the same Zulip version${version === undefined ? undefined : ` (${version})`}: ask first whether the import will go through, then import.${subdomain === realm ? undefined : ` "${realm}" is no subdomain that Zulip gives out.`}</p>
<pre>realmlift import-check ${directory} --target-url postgresql://zulip@new.example/zulip --subdomain ${subdomain}
manage.py import ${subdomain} ${directory}</pre>
<p>When the realm is there and its owner is content, deactivate it on the old server; a backup from before stays your way back.</p>
<pre>manage.py deactivate_realm -r ${realm}</pre>`;
}
