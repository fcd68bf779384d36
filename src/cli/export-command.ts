/** `realmlift export`: words of the command line -> one call. */
import { Command } from 'commander';
import { EXIT, RealmliftError } from '../errors.js';
import { runExport } from '../commands/export.js';
import { withBase } from './options/base-option.js';
import { refuseContradictions } from './options/contradictions.js';
import { addPeopleOptions, peopleOf, type PeopleOptions } from './options/people-options.js';
import { addRealmOptions, realmsOf, type RealmArguments } from './options/realm-options.js';
import { addRunOptions, runAndConclude, sharedOptions, type RunArguments } from './run-options.js';
import { addRemapOptions, asksForRemap, remapRequest, type RemapArguments } from './options/remap-options.js';

interface ExportArguments extends RunArguments, RemapArguments, RealmArguments, PeopleOptions {
  readonly remap?: true;
}

export function exportCommand(): Command {
  const command = addRealmOptions(new Command('export'))
    .optionsGroup('What:');
  addPeopleOptions(command, 'export');
  addRunOptions(command).optionsGroup('Running:')
    .option('--base <dir>', 'an earlier, finished export of the same realm out of the same server (a directory, or s3://BUCKET/PREFIX/NAME), or the directory of a run of many: what has not changed since is taken over from there')
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
      { when: options.base !== undefined && options.queue !== undefined, message: '--base takes over files where this machine sees them, and with --queue other machines do the work', hint: 'leave out one of them' },
      { when: options.base !== undefined && options.output === '-', message: '--base takes over files of a directory, and --output - makes none', hint: 'give a directory with --output, or leave out --base' },
    ]);
    const { approved, allowUnknown, ...people } = peopleOf(command, options, 'export');
    const shared = sharedOptions(command, options);
    const request = remapRequest(options, options.remap === true, shared.salt);
    refuseContradictions([
      { when: options.queue !== undefined && options.output.startsWith('s3://') && asksForRemap(request), message: 'workers store the files of the export with the ids of the old server', hint: 'leave out --remap; or give a directory that all machines share with --output' },
      { when: options.base !== undefined && asksForRemap(request), message: '--base takes over files as the old server has them, and these are rewritten for the new one', hint: 'leave out --base; or export without the options of the new server, and rewrite the result with realmlift remap' },
    ]);
    const remap = asksForRemap(request) ? await (await import('../remap/remap-request.js')).prepareRemap(request) : undefined;
    await runAndConclude(options, (under) => withBase(options.base, options, under.signal as AbortSignal, (base) => runExport({
      ...shared, ...under, remap, base,
      targets: { realms: namedRealms(options), exclude: options.exclude ?? [], users: undefined, approved, allowUnknown },
      ...people,
    })));
  });
}

/** @throws RealmliftError REALM_MISSING, REALMS_FILE */
function namedRealms(options: ExportArguments): readonly string[] | 'all' {
  const named = realmsOf(options);
  if (named === undefined) throw new RealmliftError('REALM_MISSING', 'usage', 'it is not said what to export', { hint: '--realm NAME, --realms FILE or --all-realms', exit: EXIT.usage });
  return named;
}
