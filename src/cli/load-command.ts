/** `realmlift load`: words of the command line -> one call. */
import { availableParallelism } from 'node:os';
import { Command, Option } from 'commander';
import { uploadPlace } from '../files/upload/upload-place.js';
import { EXIT, RealmliftError } from '../errors.js';
import { loadExport } from '../commands/load.js';
import { WORTH_WHILE } from '../load/server/bare-tables.js';
import { UNFINISHED, type LoadRequest, type LoadResult } from '../load/load-request.js';
import { undoLoad, type UndoResult } from '../load/undo-load.js';
import { avatarSalt } from '../plan/release/zulip-server-files.js';
import { longCommand } from './long-command.js';
import { addNarrationOptions, type NarrationOptions } from './story/narrate.js';
import { updateLoad, type UpdateResult } from '../commands/update.js';
import type { StopWords } from './stop-signals.js';
import { outsideText } from '../report/words.js';
import { sum, thousands } from '../numbers.js';
import { FILE_JOBS } from './options/files-options.js';
import { newServerSettings } from './options/new-server.js';
import { jobCount, wholeNumber } from './options/whole-number.js';

interface LoadArguments extends NarrationOptions {
  readonly targetUrl: string;
  readonly subdomain: string;
  readonly realmName?: string;
  readonly allowReservedSubdomain?: true;
  readonly jobs: number;
  readonly dryRun?: true;
  readonly resume?: true;
  readonly undo?: true;
  readonly update?: true;
  readonly base?: string;
  readonly uploadsDir?: string;
  readonly fromUploadsBucket?: string;
  readonly fromAvatarsBucket?: string;
  readonly zulipSecrets?: string;
  readonly fileJobs: number;
}

export function loadCommand(): Command {
  const command = new Command('load')
    .argument('<directory>', 'a finished export, or an unpacked one of manage.py export')
    .optionsGroup('Where to:')
    .requiredOption('--target-url <url>', "the new server's database")
    .requiredOption('--subdomain <name>', 'the subdomain of the realm there')
    .option('--realm-name <text>', "the name of the realm there (default: the subdomain, as Zulip's import names it)")
    .option('--allow-reserved-subdomain', 'take a subdomain that Zulip keeps for itself')
    .optionsGroup('Files:')
    .option('--uploads-dir <dir>', "the new server's LOCAL_UPLOADS_DIR (with files/ and avatars/); else its buckets are used, by the S3 settings")
    .option('--zulip-secrets <file>', 'zulip-secrets.conf of the new server (else ZULIP_AVATAR_SALT), for the names of avatars')
    .option('--file-jobs <n>', 'files copied at once', wholeNumber(1), FILE_JOBS)
    .option('--from-uploads-bucket <name>', "the old server's bucket at the same provider: objects that are the export's are copied there and not sent")
    .option('--from-avatars-bucket <name>', 'the same for avatars, emoji and icons')
    .optionsGroup('Running:')
    .option('--jobs <n>', 'sessions that load at once', jobCount, availableParallelism())
    .option('--dry-run', 'check everything and write nothing')
    .addOption(new Option('--resume', 'go on with a load that stopped half-way').conflicts(['undo', 'dryRun']))
    .addOption(new Option('--undo', 'remove every row and file of a load that stopped half-way').conflicts('dryRun'))
    .optionsGroup('A realm that was loaded before:')
    .addOption(new Option('--update', 'bring it to the state of this later export, in one transaction; run again after a kill').conflicts(['undo', 'allowReservedSubdomain']))
    .option('--base <dir>', 'the export that it was loaded from, or updated with last (default: where that was read)');
  return addNarrationOptions(command)
    .addHelpText('after', `
Examples:
  realmlift load out/acme --target-url postgresql://zulip@new.example/zulip --subdomain acme --realm-name 'Acme' \\
    --uploads-dir /home/zulip/uploads --zulip-secrets /etc/zulip/zulip-secrets.conf
  realmlift load out/acme … --resume      goes on after a failure or ^C
  realmlift load out/acme … --undo        removes what was loaded
  realmlift load --update later/acme --target-url postgresql://zulip@new.example/zulip --subdomain acme \\
    --uploads-dir /home/zulip/uploads --zulip-secrets /etc/zulip/zulip-secrets.conf

--update reads and writes only what differs. It refuses a realm that somebody has used since it was loaded, and names the tables that show it;
manage.py deactivate_realm keeps people out until then.

Exit codes: 0 done; 1 failed: the realm is incomplete and deactivated, --resume or --undo deal with it; 2 wrong usage; 3 refused before anything was written. An --update that fails leaves the realm as it was.`)
    .action(async (directory: string, options: LoadArguments) => {
      const started = performance.now();
      // What is written below --uploads-dir is the new server's own, and as its own uploads are. All else lies in temporary directories that are private by themselves.
      process.umask(0o022);
      const request = requestOf(options);
      if (options.base !== undefined && options.update !== true) throw new RealmliftError('USAGE', 'usage', '--base names the export that a realm was loaded from, for --update', { hint: 'add --update, or leave out --base', exit: EXIT.usage });
      const tell = (result: Readonly<Record<string, unknown>>, text: (seconds: string) => string): void => {
        const seconds = (performance.now() - started) / 1000;
        if (options.json === true) process.stdout.write(`${JSON.stringify({ ...result, seconds })}\n`);
        else if (options.quiet !== true) process.stderr.write(text(`${seconds.toFixed(1)} s`));
      };
      if (options.undo === true) {
        const result = await longCommand(options, UNDO_STOPPED, (stop) => undoLoad(request, stop));
        tell({ ...result }, (seconds) => undone(request, result, seconds));
      } else if (options.update === true) {
        const result = await longCommand(options, UPDATE_STOPPED, (stop) => updateLoad(directory, { ...request, base: options.base }, stop));
        tell({ ...result, dryRun: request.dryRun }, (seconds) => updated(request, result, seconds));
      } else {
        let begun = false;
        const words: StopWords = { stage: 'load', left: () => 'nobody sees anything of the realm', leftUntidied: () => 'nobody sees anything of the realm, unless the server was just committing the last step', hint: () => loadAgain(request, begun) };
        const result = await longCommand(options, words, (stop) => loadExport(directory, request, stop, () => { begun = true; }));
        tell({ ...result, rows: Object.fromEntries(result.rows), realmId: request.dryRun ? null : result.realmId, dryRun: request.dryRun }, (seconds) => summary(request, result, seconds));
      }
    });
}

const UPDATE_STOPPED: StopWords = { stage: 'load', left: () => 'the realm is as it was, or as it is to be', hint: () => 'run it again, which finishes what is left to do' };
const UNDO_STOPPED: StopWords = { stage: 'load', left: () => 'what is left of the load is deactivated, and nobody sees it', hint: () => 'run --undo again, which goes on' };

function loadAgain({ resume, dryRun }: LoadRequest, begun: boolean): string {
  if (begun) return UNFINISHED;
  return resume && !dryRun ? 'run the same command again' : 'run it again from the start';
}

function requestOf(options: LoadArguments): LoadRequest {
  const { targetUrl, subdomain, realmName, allowReservedSubdomain, jobs, dryRun, resume, uploadsDir, fromUploadsBucket: uploads, fromAvatarsBucket: avatars, zulipSecrets, fileJobs } = options;
  if ((uploads === undefined) !== (avatars === undefined)) throw new RealmliftError('USAGE', 'usage', '--from-uploads-bucket and --from-avatars-bucket go together', { hint: 'name both buckets of the old server', exit: EXIT.usage });
  return {
    target: newServerSettings(targetUrl), subdomain, allowReserved: allowReservedSubdomain === true, realmName, jobs, indexesLaterFrom: WORTH_WHILE, dryRun: dryRun === true, resume: resume === true,
    files: uploadPlace(uploadsDir, process.env), fromBuckets: uploads === undefined || avatars === undefined ? undefined : { uploads, avatars },
    fileJobs, salt: avatarSalt({ secretsFile: zulipSecrets, env: process.env }),
  };
}

function summary({ dryRun, realmName }: LoadRequest, result: LoadResult, seconds: string): string {
  const { subdomain, rows, realmId, files, images, resumed, deactivated, outside } = result;
  const total = sum(rows.values());
  if (dryRun) return `${subdomain}: ${thousands(total)} rows would be loaded; nothing speaks against it and nothing was written (${seconds})\n`;
  return [
    `${subdomain}: realm ${realmId} loaded in ${seconds}: ${thousands(total)} rows, ${thousands(files)} files, ${thousands(images)} images to make thumbnails of${resumed > 0 ? `; ${resumed} steps were done before` : ''}`,
    ...(realmName === undefined ? [`  it is named "${subdomain}", as Zulip's import does; --realm-name, or its settings, give it another`] : []),
    ...(outside > 0 ? [`  ${outsideText(outside)}`] : []),
    `  ${deactivated ? 'it was exported deactivated and is so here: manage.py reactivate_realm opens it' : 'it is active'}; run scripts/setup/flush-memcached on the new server once`, '',
  ].join('\n');
}

function updated({ dryRun }: LoadRequest, result: UpdateResult, seconds: string): string {
  const { subdomain, realmId, added, changed, removed, renumbered, files, filesRemoved, differed, used, deactivated } = result;
  if (!differed) return `${subdomain}: there is nothing to do, realm ${realmId} was brought to this export before${used ? ', and somebody has used it since' : ''}${deactivated ? '; it is deactivated: manage.py reactivate_realm opens it' : ''} (${seconds})\n`;
  if (dryRun) return `${subdomain}: realm ${realmId} can be updated; nobody has used it, and nothing was written (${seconds})\n`;
  return [
    `${subdomain}: realm ${realmId} updated in ${seconds}: of its rows ${thousands(added)} came, ${thousands(changed)} changed and ${thousands(removed)} went; ${thousands(files)} files came or changed and ${thousands(filesRemoved)} went`,
    ...(renumbered > 0 ? [`  ${thousands(renumbered)} messages have other ids than before, since older ones came between them`] : []),
    `  ${deactivated ? 'it was exported deactivated and is so here: manage.py reactivate_realm opens it' : 'it is active'}; run scripts/setup/flush-memcached on the new server once`, '',
  ].join('\n');
}

function undone({ subdomain }: LoadRequest, { rows, files, clientsKept }: UndoResult, seconds: string): string {
  if (rows === 0 && files === 0) return `${subdomain}: nothing of it is on the new server\n`;
  const kept = clientsKept === 0 ? '' : `; ${clientsKept} entries of zerver_client stay, which others use by now`;
  return `${subdomain}: the unfinished load is removed, ${thousands(rows)} rows and ${thousands(files)} files, in ${seconds}${kept}\n`;
}
