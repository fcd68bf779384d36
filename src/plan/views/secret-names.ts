/**
 * Names that look like secrets. A column with such a name never travels unless its view file or the operator says so:
 * a new Zulip release may add one that nobody has classified yet.
 */
const SECRET_NAME = /passw(or)?d|api_?key|token|secret|salt|private_?key|credential|oauth|third_party_api|session_?key|(^|_)otp(_|$)/i;

/** True when the name of a column or a JSON key looks like that of a secret. */
export function looksSecret(name: string): boolean {
  return SECRET_NAME.test(name);
}
