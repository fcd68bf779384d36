/** `realmlift remap`: words of the command line -> one call. */
import { Command } from 'commander';
import { avatarSalt } from '../plan/release/zulip-server-files.js';
import { remapDirectory, type RemappedExport } from '../commands/remap.js';
import { refuseIdle } from './options/contradictions.js';
import { addRemapOptions, remapRequest, type RemapArguments } from './options/remap-options.js';
import { outsideText } from '../report/words.js';
import { sum, thousands } from '../numbers.js';
import { directoryLeft, longSteps } from './long-command.js';
import { addNarrationOptions, type NarrationOptions } from './story/narrate.js';

interface RemapCommandArguments extends RemapArguments, NarrationOptions {
  readonly output: string;
  readonly botsOnly?: true;
  readonly zulipSecrets?: string;
  readonly verify: boolean;
}

export function remapCommand(): Command {
  const command = new Command('remap')
    .argument('<directory>', 'a finished export')
    .optionsGroup('Where to:')
    .requiredOption('--output <dir>', 'directory to make');
  addRemapOptions(command)
    .option('--bots-only', 'only the ids of system bots and clients; all others stay')
    .option('--zulip-secrets <file>', 'zulip-secrets.conf of the old server (else ZULIP_AVATAR_SALT): without its avatar_salt avatars keep their names')
    .optionsGroup('Running:')
    .option('--no-verify', 'do not read the result again before it is published');
  addNarrationOptions(command).addHelpText('after', `
Examples:
  realmlift remap out/acme --output new/acme --target-url postgresql://zulip@new.example/zulip
  realmlift remap out/acme --output new/acme --id-map ids.json --id-base 100000 --subdomain acme2

id_maps.json of the result tells the new id of every row.
Exit codes: 0 done; 1 failed; 2 wrong usage; 3 the new server does not fit: it is of another version, lacks the system bots, or is no Zulip server.`);
  return command.action(async (directory: string, options: RemapCommandArguments) => {
    refuseIdle(command, options.botsOnly === true, ['idBase'], 'says where the new ids of all rows begin, and --bots-only gives none', 'leave out one of them');
    const started = performance.now();
    const salt = avatarSalt({ secretsFile: options.zulipSecrets, env: process.env });
    const result = await longSteps(options, directoryLeft('remap', options.output), () => remapDirectory(directory, options.output, remapRequest(options, options.botsOnly !== true, salt), options.verify));
    const seconds = (performance.now() - started) / 1000;
    if (options.json === true) process.stdout.write(`${JSON.stringify({ directory: result.directory, realm: result.header.realm, rows: Object.fromEntries(result.rows), seconds })}\n`);
    else if (options.quiet !== true) process.stderr.write(summary(result, seconds));
  });
}

function summary({ directory, header, rows, outside }: RemappedExport, seconds: number): string {
  const total = sum(rows.values());
  const ambiguous = outside.ambiguous === 0 ? '' : `, ${thousands(outside.ambiguous)} of them to what is now the id of another row`;
  return `${header.realm}: ${thousands(total)} rows written to ${directory} in ${seconds.toFixed(1)} s\n`
    + `  ${outsideText(outside.total)}${ambiguous}; report.json counts them\n`;
}
