/** Which subdomains Zulip's import takes: zerver/forms.py, check_subdomain_available. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../package-root.js';

/** zerver_realm.string_id is varchar(40): a longer one is refused by the database, half-way. */
const LONGEST = 40;
const SHORTEST = 3;

/** Words that Zulip keeps, and their plurals: zerver/lib/name_restrictions.py. */
function reservedWords(): ReadonlySet<string> {
  const text = readFileSync(join(packageRoot(), 'data', 'reserved-subdomains.txt'), 'utf8');
  return new Set(text.replace(/#.*$/gm, '').split(/\s+/).filter((word) => word !== ''));
}

/**
 * Why the import would refuse `subdomain`, whatever else the new server holds; undefined when it would not. The empty one is
 * the root domain's.
 *
 * @param allowReserved as the import's own --allow-reserved-subdomain
 */
export function subdomainFault(subdomain: string, allowReserved: boolean): string | undefined {
  if (subdomain === '') return undefined;
  if (subdomain.startsWith('-') || subdomain.endsWith('-')) return `"${subdomain}" begins or ends with a hyphen`;
  if (!/^[a-z0-9-]*$/.test(subdomain)) return `"${subdomain}" has other characters than lower-case letters, digits and hyphens`;
  if (subdomain.length < SHORTEST) return `"${subdomain}" is shorter than ${SHORTEST} characters`;
  if (subdomain.length > LONGEST) return `"${subdomain}" is longer than ${LONGEST} characters`;
  const words = reservedWords();
  if (allowReserved || !(words.has(subdomain) || (subdomain.endsWith('s') && words.has(subdomain.slice(0, -1))))) return undefined;
  return `"${subdomain}" is reserved by Zulip: give the import another, or --allow-reserved-subdomain both here and there`;
}
