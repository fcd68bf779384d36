/** `realmlift export-user`: single users, each in a directory of its own, out of one snapshot. */
import { Command } from 'commander';
import { EXIT, RealmliftError } from '../errors.js';
import { runExport } from '../commands/export.js';
import { readUserList } from '../plan/user-list.js';
import { collect } from './options/collect.js';
import { addRunOptions, runAndConclude, sharedOptions, type RunArguments } from './run-options.js';

interface ExportUserArguments extends RunArguments {
  readonly realm?: string[];
  readonly user?: string[];
  readonly users?: string;
  readonly allowUnknown?: true;
}

export function exportUserCommand(): Command {
  const command = new Command('export-user')
    .optionsGroup('Whom:')
    .option('--realm <name>', "subdomain of the users' realm; without one, all realms", collect)
    .option('--user <email>', 'address or id of a user; may be repeated', collect)
    .option('--users <file>', 'file of users: one address or id a line, or CSV with columns email (or id) and realm')
    .option('--allow-unknown', 'skip users that are not there');
  addRunOptions(command);
  command.addHelpText('after', `
Examples:
  realmlift export-user --realm acme --user ann@example.com --user bob@example.com --uploads-dir /home/zulip/uploads

Each user's export is made under OUTPUT/REALM-user-EMAIL.
Exit codes: 0 done; 1 failed; 2 wrong usage; 3 nothing exported; 4 losses under --strict.`);
  return command.action(async (options: ExportUserArguments) => {
    const users = [...(options.user ?? []).map((user) => ({ user, realm: undefined })), ...(options.users === undefined ? [] : readUserList(options.users))];
    if (users.length === 0) throw new RealmliftError('USER_MISSING', 'usage', 'it is not said whom to export', { hint: '--user EMAIL or --users FILE', exit: EXIT.usage });
    await runAndConclude(options, (under) => runExport({
      ...sharedOptions(command, options), ...under,
      targets: { realms: options.realm ?? 'all', exclude: [], users, approved: undefined, allowUnknown: options.allowUnknown === true },
      mode: 'user', approvedFilesOnly: false, consentMessage: undefined, force: false,
    }));
  });
}
