/** By what the server tells versions of rows that a base cannot have. */

/** Is this version of a row new? age() counts back from the youngest transaction, so that numbers may wrap around. @param since see firstNew */
export function isNew(version: string, since: string): string {
  return `age(${version}) <= (SELECT age('${since}'::xid))`;
}
