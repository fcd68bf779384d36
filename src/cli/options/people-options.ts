/** Whose data travel: options that `export` and `split` share, and how they become the call's. */
import { Option, type Command } from 'commander';
import type { Mode } from '../../plan/views/condition.js';
import { readUserList, type UserEntry } from '../../plan/user-list.js';
import { isGiven, refuseContradictions } from './contradictions.js';
import { wholeNumber } from './whole-number.js';

export interface PeopleOptions {
  readonly mode: 'full' | 'consent' | 'public';
  readonly users?: string;
  /** False where no files were asked for at all. */
  readonly files: 'approved' | 'all' | boolean;
  readonly allowUnknown?: true;
  readonly consentMessage?: number;
  readonly force?: true;
}

export interface People {
  readonly mode: Mode;
  readonly approved: readonly UserEntry[] | undefined;
  readonly allowUnknown: boolean;
  readonly approvedFilesOnly: boolean;
  readonly consentMessage: number | undefined;
  readonly force: boolean;
}

/** @param work in a word, for the help: `export` */
export function addPeopleOptions(command: Command, work: string): Command {
  return command
    .addOption(new Option('--mode <mode>', 'whose private data travels').choices(['full', 'consent', 'public']).default('full'))
    .option('--users <file>', `users whose transfer was approved: a consent ${work} of them, their bots and mirror dummies`)
    .addOption(new Option('--files <which>', 'with --users: files that these users own, or of everybody').choices(['approved', 'all']).default('approved'))
    .option('--allow-unknown', 'skip users that the realm does not have')
    .option('--consent-message <id>', 'consent is a reaction to this message (before Zulip 10)', wholeNumber(1))
    .option('--force', `${work} although nobody could administer the result`);
}

/** @throws RealmliftError USAGE for options that contradict each other, USERS_FILE */
export function peopleOf(command: Command, options: PeopleOptions, work: string): People {
  const { mode, users, files, allowUnknown, consentMessage, force } = options;
  refuseContradictions([
    { when: users !== undefined && isGiven(command, 'mode') && mode !== 'consent', message: `--users makes a consent ${work} of the approved users, and not one of mode ${mode}`, hint: 'leave out --mode, or --users' },
    { when: users === undefined && files !== false && isGiven(command, 'files'), message: '--files says whose files travel beside those of --users', hint: 'add --users FILE, or leave out --files' },
    { when: consentMessage !== undefined && (users !== undefined || mode !== 'consent'), message: '--consent-message says who consented, which only --mode consent asks', hint: 'add --mode consent, or leave out --consent-message' },
  ]);
  const approved = users === undefined ? undefined : readUserList(users);
  // Approved users take the place of those who consented.
  return { mode: approved === undefined ? mode : 'consent', approved, allowUnknown: allowUnknown === true, approvedFilesOnly: files === 'approved', consentMessage, force: force === true };
}
