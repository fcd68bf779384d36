/** `realmlift verify DIR`. */
import { statSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { Command } from 'commander';
import { isBackup } from '../backup/contents/find-backup.js';
import { verifyBackup, type VerifiedBackup } from '../backup/verify-backup.js';
import { EXIT } from '../errors.js';
import { counted, size, sum, time } from '../numbers.js';
import { refusePacked } from '../package/packed-export.js';
import type { Finding } from '../verify/findings.js';
import { verifyExport, type VerifyReport } from '../verify/verify-export.js';
import { refuseIdle } from './options/contradictions.js';
import { originText, verifyKeyOf } from './options/verify-key.js';
import { jobCount } from './options/whole-number.js';
import { longSteps, nothingLeft } from './long-command.js';
import { addNarrationOptions, type NarrationOptions } from './story/narrate.js';
import { printable } from './story/printable.js';

interface VerifyArguments extends NarrationOptions {
  jobs?: number;
  identity?: string;
  passphraseFile?: string;
  verifyKey?: string;
}

/** The command sets the exit code: 1 when an error was found, 0 otherwise. RealmliftErrors are left to the caller. */
export function verifyCommand(): Command {
  const command = new Command('verify');
  return addNarrationOptions(command
    .argument('<directory>', 'an export, unpacked (also one that Zulip wrote); or a backup, or the place where backups are kept')
    .optionsGroup('What:')
    .option('--identity <file>', 'of a backup: the secret key, to decrypt it, count its rows and compare their digests')
    .option('--passphrase-file <file>', 'of a backup: the passphrase, likewise')
    .option('--verify-key <file>', 'of a backup: refuse what was not signed with the secret key that belongs to this public one (Ed25519, PEM)')
    .optionsGroup('Running:')
    .option('-j, --jobs <number>', 'worker threads (default: the processors)', jobCount))
    .addHelpText('after', `
Examples:
  realmlift verify out/acme
  realmlift verify /backups --identity key.txt

Exit codes: 0 good (there may be notes); 1 an error was found, or a file cannot be read; 2 no such directory.`)
    .action(async (directory: string, given: VerifyArguments) => {
      refusePacked(directory);
      // An export is not signed.
      const isFile = statSync(directory, { throwIfNoEntry: false })?.isFile() === true;
      if (given.verifyKey !== undefined || (!isFile && await isBackup(directory, process.env))) {
        const verified = await longSteps(given, nothingLeft('verify'), async () => verifyBackup(directory, process.env, { identityFile: given.identity, passphraseFile: given.passphraseFile, verifyKey: await verifyKeyOf(given.verifyKey) }, given.jobs ?? availableParallelism()));
        if (given.quiet !== true) process.stdout.write(given.json === true ? `${JSON.stringify(verified, null, 2)}\n` : backupSummary(verified));
        return;
      }
      refuseIdle(command, true, ['identity', 'passphraseFile'], `opens backups, and ${directory} is none`, 'name a backup, or leave it out');
      const report = await longSteps(given, nothingLeft('verify'), () => verifyExport(directory, given.jobs === undefined ? {} : { jobs: given.jobs }));
      if (given.quiet !== true || report.totals.errors > 0) process.stdout.write(given.json === true ? `${JSON.stringify(report, null, 2)}\n` : summary(report));
      if (report.totals.errors > 0) process.exitCode = EXIT.failed;
    });
}

/** So many errors and so many notes are printed; --json has all. */
const PRINTED = 20;

function backupSummary({ location, originProved, takenAt, level, parts, bytes, tables, rows, files }: VerifiedBackup): string {
  const looked = level === 'contents' ? `decrypted: ${counted(tables ?? 0, 'table')}, ${counted(rows ?? 0, 'row')}${files === undefined ? '' : `, ${counted(files, 'file')}`}, as at the source` : 'sizes and checksums; with --identity also the rows';
  return `${location}: backup of ${takenAt.slice(0, 19)}Z, ${counted(parts, 'part')}, ${size(bytes)}: good (${looked}), ${originText(originProved)}\n`;
}

/** What was read, then what is wrong with it, errors first, one line each. */
export function summary(report: VerifyReport): string {
  const { totals, findings } = report;
  const rows = sum(Object.values(totals.rows));
  const lines = [
    `${report.directory}: ${counted(totals.files, 'file')}, ${size(totals.bytes)}, ${counted(rows, 'row')} (${counted(totals.rows['zerver_message'] ?? 0, 'message')}) read in ${time(totals.seconds)}`,
  ];
  for (const [severity, count] of [['error', totals.errors], ['note', totals.notes]] as const) {
    const printed = findings.filter((finding) => finding.severity === severity).slice(0, PRINTED);
    lines.push(...printed.map(findingLine));
    if (count > printed.length) lines.push(`… and ${counted(count - printed.length, `more ${severity}`)} (--json lists them)`);
  }
  const notes = totals.notes === 0 ? '' : `, ${counted(totals.notes, 'note')}`;
  lines.push(totals.errors === 0 ? `good${notes}` : `${counted(totals.errors, 'error')}${notes}`);
  return `${lines.join('\n')}\n`;
}

function findingLine({ severity, file, table, message }: Finding): string {
  return printable(`${severity}: ${file}${table === undefined ? '' : ` ${table}`}: ${message}`);
}
