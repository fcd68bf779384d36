/** `realmlift export`: words of the command line -> one call. */
import { Command, Option } from 'commander';
import { EXIT, RealmliftError } from '../errors.js';
import { runExport } from '../export.js';
import { readUserList } from '../plan/user-list.js';
import { prepareRemap } from '../remap/remap-request.js';
import { withBase } from './base-option.js';
import { isGiven, refuseContradictions } from './contradictions.js';
import { addRealmOptions, realmsOf, type RealmArguments } from './realm-options.js';
import { addRunOptions, runAndConclude, sharedOptions, type RunArguments } from './run-options.js';
import { addRemapOptions, asksForRemap, remapRequest, type RemapArguments } from './remap-options.js';
import { wholeNumber } from './whole-number.js';

interface ExportArguments extends RunArguments, RemapArguments, RealmArguments {
  readonly mode: 'full' | 'consent' | 'public';
  readonly users?: string;
  readonly allowUnknown?: true;
  readonly consentMessage?: number;
  readonly force?: true;
  readonly remap?: true;
  readonly base?: string;
}

export function exportCommand(): Command {
  const command = addRealmOptions(new Command('export'))
    .optionsGroup('What:')
    .addOption(new Option('--mode <mode>', 'whose private data travels').choices(['full', 'consent', 'public']).default('full'))
    .option('--users <file>', 'users whose transfer was approved: a consent export of them, their bots and mirror dummies')
    .addOption(new Option('--files <which>', 'with --users: files that these users own, or of everybody').choices(['approved', 'all']).default('approved'))
    .option('--allow-unknown', 'skip users that the realm does not have')
    .option('--consent-message <id>', 'consent is a reaction to this message (before Zulip 10)', wholeNumber(1))
    .option('--force', 'export although nobody could administer the result');
  addRunOptions(command).optionsGroup('Running:')
    .option('--base <dir>', 'an earlier, finished export of the same realm out of the same server (a directory, or s3://BUCKET/PREFIX/NAME): what has not changed since is taken over from there')
    .optionsGroup('Ids of the new server:').option('--remap', 'give every row an id of its own on the new server; without it only system bots and clients get theirs');
  addRemapOptions(command);
  command.addHelpText('after', `
Examples:
  DATABASE_URL=postgresql://zulip@localhost/zulip \\
  realmlift export --realm acme --uploads-dir /home/zulip/uploads --zulip-secrets /etc/zulip/zulip-secrets.conf
  realmlift export --realm acme --mode consent
  realmlift export --realm acme --users approved.txt --files approved
  realmlift export --realm acme --base /srv/rehearsal/acme --output /srv/move
  realmlift export --all-realms --exclude test --output /srv/exports
  realmlift export --realm acme --remap --target-url postgresql://zulip@new.example/zulip --subdomain acme2

The server is found as psql finds it (DATABASE_URL, PGHOST, PGUSER …): see realmlift --help.
Exit codes: 0 done; 1 failed; 2 wrong usage; 3 nothing exported; 4 losses under --strict.`);
  return command.action(async (options: ExportArguments) => {
    refuseContradictions([
      { when: options.users !== undefined && isGiven(command, 'mode') && options.mode !== 'consent', message: `--users makes a consent export of the approved users, and not one of mode ${options.mode}`, hint: 'leave out --mode, or --users' },
      { when: options.users === undefined && options.files !== false && isGiven(command, 'files'), message: '--files says whose files travel beside those of --users', hint: 'add --users FILE, or leave out --files' },
      { when: options.base !== undefined && options.queue !== undefined, message: '--base takes over files where this machine sees them, and with --queue other machines do the work', hint: 'leave out one of them' },
      { when: options.base !== undefined && options.output === '-', message: '--base takes over files of a directory, and --output - makes none', hint: 'give a directory with --output, or leave out --base' },
      { when: options.consentMessage !== undefined && (options.users !== undefined || options.mode !== 'consent'), message: '--consent-message says who consented, which only --mode consent asks', hint: 'add --mode consent, or leave out --consent-message' },
    ]);
    const approved = options.users === undefined ? undefined : readUserList(options.users);
    const shared = sharedOptions(options);
    const request = remapRequest(options, options.remap === true, shared.salt);
    refuseContradictions([{ when: options.base !== undefined && asksForRemap(request), message: '--base takes over files that have the ids of the old server', hint: 'leave out --base; or export without new ids, and give them by realmlift remap' }]);
    const remap = asksForRemap(request) ? await prepareRemap(request) : undefined;
    await runAndConclude(options, (under) => withBase(options.base, options, under.signal as AbortSignal, (base) => runExport({
      ...shared, ...under, remap, base,
      targets: { realms: namedRealms(options), exclude: options.exclude ?? [], users: undefined, approved, allowUnknown: options.allowUnknown === true },
      // Approved users take the place of those who consented.
      mode: approved === undefined ? options.mode : 'consent',
      approvedFilesOnly: options.files === 'approved',
      consentMessage: options.consentMessage, force: options.force === true,
    })));
  });
}

/** @throws RealmliftError REALM_MISSING, REALMS_FILE */
function namedRealms(options: ExportArguments): readonly string[] | 'all' {
  const named = realmsOf(options);
  if (named === undefined) throw new RealmliftError('REALM_MISSING', 'usage', 'it is not said what to export', { hint: '--realm NAME, --realms FILE or --all-realms', exit: EXIT.usage });
  return named;
}
