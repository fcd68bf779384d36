/** `realmlift import-check`: words of the command line -> one call. */
import { Command } from 'commander';
import { EXIT } from '../errors.js';
import { checkImport, verdict, type ImportCheck } from '../arrival/import-check.js';
import { newServerSettings } from './options/new-server.js';
import { longSteps, nothingLeft } from './long-command.js';
import { tellAhead, VERIFICATION } from '../narration.js';
import { addNarrationOptions, type NarrationOptions } from './story/narrate.js';
import { printable } from './story/printable.js';

interface ImportCheckArguments extends NarrationOptions {
  readonly targetUrl?: string;
  readonly subdomain?: string;
  readonly allowReservedSubdomain?: true;
  readonly uploadsDir?: string;
}

const SHOWN: Readonly<Record<ImportCheck['outcome'], string>> = { good: 'good', failed: 'FAILED', warned: 'WARNING', unknown: '-' };

/** The command sets the exit code: 1 when a check failed, 0 otherwise. */
export function importCheckCommand(): Command {
  return addNarrationOptions(new Command('import-check')
    .argument('<directory>', 'an export, unpacked (also one that Zulip wrote)')
    .optionsGroup('Where to:')
    .option('--target-url <url>', "the new server's database, which is only read")
    .option('--subdomain <name>', "the subdomain that the import will be given (default: the realm's own)")
    .option('--allow-reserved-subdomain', 'the import will be run with this option too')
    .option('--uploads-dir <dir>', "the new server's LOCAL_UPLOADS_DIR: is there room? (default: where the export lies)"))
    .addHelpText('after', `
Examples:
  realmlift import-check out/acme --subdomain acme-chat
  realmlift import-check out/acme --subdomain acme-chat --target-url postgresql://zulip@new.example/zulip && manage.py import acme-chat out/acme

The last line is the verdict. Nothing is written, neither there nor here.
Exit codes: 0 nothing speaks against it; 1 a check failed; 2 wrong usage, or no such export;
            3 the new server has no Zulip database, or not a whole one.`)
    .action(async (directory: string, { targetUrl, subdomain, allowReservedSubdomain, uploadsDir, json, quiet }: ImportCheckArguments) => {
      const target = targetUrl === undefined ? undefined : newServerSettings(targetUrl);
      const checks = await longSteps({ ...(json && { json }), ...(quiet && { quiet }) }, nothingLeft('verify'), () => {
        tellAhead([{ name: VERIFICATION, weight: 95 }, { name: 'checks', weight: 5 }]);
        return checkImport(directory, { target, subdomain, allowReserved: allowReservedSubdomain === true, uploadsDir });
      });
      const { good, line } = verdict(checks);
      const lines = checks.map(({ name, outcome, what }) => `${SHOWN[outcome].padEnd(7)} ${name.padEnd(13)} ${printable(what)}\n`);
      if (quiet !== true || !good) process.stdout.write(json === true ? `${JSON.stringify({ directory, good, verdict: line, checks }, null, 2)}\n` : `${lines.join('')}${line}\n`);
      if (!good) process.exitCode = EXIT.failed;
    });
}
