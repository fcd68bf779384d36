/** `realmlift merge`: words of the command line -> one call. */
import { Command, Option } from 'commander';
import { EXIT, RealmliftError } from '../errors.js';
import { mergeExports, type MergeOptions, type MergeResult } from '../commands/merge.js';
import { giveIdsOfTheirOwn } from '../merge/give-own-ids.js';
import { avatarSalt } from '../plan/release/zulip-server-files.js';
import { prepareRemap } from '../remap/remap-request.js';
import { addIdOptions, asksForRemap, remapRequest, type RemapArguments } from './options/remap-options.js';
import { counted, sum } from '../numbers.js';
import { directoryLeft, longSteps } from './long-command.js';
import { addNarrationOptions, type NarrationOptions } from './story/narrate.js';

interface MergeArguments extends Pick<RemapArguments, 'targetUrl' | 'idMap' | 'idBase'>, NarrationOptions {
  readonly output: string;
  readonly onConflict: 'later' | 'fail';
  readonly verify: boolean;
  readonly remap?: true;
  readonly zulipSecrets?: string;
}

export function mergeCommand(): Command {
  const command = new Command('merge')
    .argument('<directory...>', 'finished exports')
    .optionsGroup('What:')
    .addOption(new Option('--on-conflict <what>', 'where exports differ: the later snapshot wins, or the merge stops').choices(['later', 'fail']).default('later'))
    .optionsGroup('Where to:')
    .requiredOption('--output <dir>', 'directory to make')
    .optionsGroup('Running:')
    .option('--no-verify', 'do not read the result again before it is published')
    .optionsGroup('Ids of the new server:')
    .option('--remap', 'exports of different realms or servers: give all their rows ids of their own; clients unite by name, system bots by address');
  addIdOptions(command)
    .option('--zulip-secrets <file>', 'with --remap: zulip-secrets.conf of the old server (else ZULIP_AVATAR_SALT), to give avatars their new names');
  addNarrationOptions(command).addHelpText('after', `
Examples:
  realmlift merge monday/acme tuesday/acme --output acme
  realmlift merge east/acme west/globex --output both --remap

Exit codes: 0 done; 1 failed; 2 wrong usage; 3 these exports cannot be joined, or do not fit the new server.`);
  return command.action(async (directories: string[], options: MergeArguments) => {
    const started = performance.now();
    const result = await longSteps(options, directoryLeft('merge', options.output), async () => mergeExports(directories, { ...options, disjoin: await disjoin(options) }));
    const seconds = (performance.now() - started) / 1000;
    if (options.json === true) process.stdout.write(`${JSON.stringify({ directory: result.directory, realm: result.header.realm, rows: Object.fromEntries(result.rows), seconds })}\n`);
    else if (options.quiet !== true) process.stderr.write(summary(result, directories.length, seconds));
  });
}

async function disjoin(options: MergeArguments): Promise<MergeOptions['disjoin']> {
  const all = options.remap === true;
  const request = remapRequest(options, all, all ? avatarSalt({ secretsFile: options.zulipSecrets, env: process.env }) : undefined);
  if (!asksForRemap(request)) return undefined;
  if (!all) throw new RealmliftError('USAGE', 'usage', '--target-url, --id-map and --id-base say which ids --remap gives', { hint: 'add --remap', exit: EXIT.usage });
  const prepared = await prepareRemap(request);
  return (inputs, directory) => giveIdsOfTheirOwn(prepared, inputs, directory);
}

function summary({ directory, header, rows, files }: MergeResult, count: number, seconds: number): string {
  const total = sum(rows.values());
  const records = sum(files.values());
  return `${header.realm}: ${count} exports joined to ${directory} in ${seconds.toFixed(1)} s: ${counted(total, 'row')}, ${counted(records, 'file')}\n  report.json names each difference\n`;
}
