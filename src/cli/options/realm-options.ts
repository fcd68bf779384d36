/** Which realms: by name, out of a file, or all but some. */
import { readFileSync } from 'node:fs';
import { Option, type Command } from 'commander';
import { EXIT, RealmliftError } from '../../errors.js';
import { ioReason } from '../../io-reason.js';
import { collect } from './collect.js';
import { refuseContradictions } from './contradictions.js';

export interface RealmArguments {
  readonly realm?: string[];
  readonly realms?: string;
  readonly allRealms?: true;
  readonly exclude?: string[];
}

export function addRealmOptions(command: Command): Command {
  return command
    .optionsGroup('Whom:')
    .option('--realm <name>', 'subdomain of the realm; may be repeated', collect)
    .option('--realms <file>', 'file that names one subdomain a line')
    .addOption(new Option('--all-realms', 'all realms but the one of the system bots').conflicts(['realm', 'realms']))
    .option('--exclude <name>', 'a realm to leave out; may be repeated', collect);
}

/** @returns undefined when nothing is named @throws RealmliftError USAGE, REALMS_FILE, REALM_MISSING */
export function realmsOf({ realm = [], realms, allRealms, exclude = [] }: RealmArguments): readonly string[] | 'all' | undefined {
  refuseContradictions([{ when: exclude.some((name) => realm.includes(name)), message: '--exclude leaves out a realm that --realm names', hint: 'leave out one of them' }]);
  if (allRealms === true) return 'all';
  const listed = realms === undefined ? [] : realmsFile(realms).split(/\r?\n/).map((line) => line.replace(/#.*$/, '').trim()).filter((line) => line !== '');
  const named = [...realm, ...listed];
  if (named.length === 0 && realms !== undefined) throw new RealmliftError('REALM_MISSING', 'usage', `${realms} names no realm`, { hint: 'one subdomain a line', exit: EXIT.usage });
  return named.length === 0 ? undefined : named;
}

function realmsFile(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw new RealmliftError('REALMS_FILE', 'usage', `${path} cannot be read: ${ioReason(cause)}`, { exit: EXIT.usage, cause });
  }
}
