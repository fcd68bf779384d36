/**
 * Which addresses Zulip's import takes: each user's email and delivery_email go through Django's EmailValidator
 * (django/core/validators.py), and one that fails ends the import half-way.
 */
import { domainToASCII } from 'node:url';

const LONGEST = 320;
const DOT_ATOM = /^[-!#$%&'*+/=?^_`{}|~0-9A-Z]+(\.[-!#$%&'*+/=?^_`{}|~0-9A-Z]+)*$/i;
const QUOTED = /^"([\x01-\x08\x0b\x0c\x0e-\x1f!#-[\]-\x7f]|\\[\x01-\x09\x0b\x0c\x0e-\x7f])*"$/i;
const DOMAIN = /^(?:[A-Z0-9](?:[A-Z0-9-]{0,61}[A-Z0-9])?\.)+[A-Z0-9-]{2,63}(?<!-)$/i;
/** Of other scripts, and without what domainToASCII would drop. */
const INTERNATIONAL = /^(?=.*\P{ASCII})[^\s\p{Cc}]+$/u;
const LITERAL = /^\[([A-F0-9:.]+)\]$/i;

export function isValidAddress(address: string): boolean {
  const at = address.lastIndexOf('@');
  if (at === -1 || address.length > LONGEST) return false;
  const [user, domain] = [address.slice(0, at), address.slice(at + 1)];
  if (!DOT_ATOM.test(user) && !QUOTED.test(user)) return false;
  return domain === 'localhost' || DOMAIN.test(domain) || LITERAL.test(domain) || (INTERNATIONAL.test(domain) && DOMAIN.test(domainToASCII(domain)));
}
