/** The commands for backups as a program: what src/cli.ts makes of errors, without the other commands. */
import { Command, CommanderError } from 'commander';
import { backupCommand } from '../../src/cli/backup-command.js';
import { restoreCommand } from '../../src/cli/restore-command.js';
import { EXIT, RealmliftError } from '../../src/errors.js';

const program = new Command('realmlift').exitOverride().addCommand(backupCommand().exitOverride()).addCommand(restoreCommand().exitOverride());
try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode = EXIT.usage;
  } else {
    process.stderr.write(`${error instanceof RealmliftError ? error.line : String((error as Error).stack)}\n`);
    process.exitCode = error instanceof RealmliftError ? error.exit : EXIT.failed;
  }
}
