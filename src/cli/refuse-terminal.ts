/** What is written to standard output for another program is nothing to be looked at. */
import { EXIT, RealmliftError } from '../errors.js';

/** @param what e.g. `an archive` @param hint where to send it instead @throws RealmliftError USAGE when standard output is a terminal */
export function refuseTerminal(what: string, hint: string): void {
  if (process.stdout.isTTY) throw new RealmliftError('USAGE', 'usage', `standard output is a terminal, and ${what} is for a program or a file`, { hint, exit: EXIT.usage });
}
