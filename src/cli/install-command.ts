/** `realmlift install`: views without secrets and a role that can read nothing else. */
import { Command } from 'commander';
import { install } from '../install.js';
import { connectionSettings } from '../snapshot/connection-settings.js';
import { collect } from './collect.js';

export function installCommand(): Command {
  return new Command('install')
    .description("Make views of Zulip's tables without their secret columns (schema realmlift), and a role that can read nothing else.")
    .option('--role <name>', 'name of the role', 'realmlift')
    .option('--dry-run', 'print the SQL and change nothing')
    .option('--strip <table.column>', 'leave a column out of the views', collect)
    .option('--keep <table.column>', 'show a column although its name looks like a secret', collect)
    .addHelpText('after', `
Run it again after each Zulip upgrade. The role can log in once it has a password (\\password realmlift) or an entry in pg_hba.conf.
Everything is undone by: DROP SCHEMA realmlift CASCADE; DROP ROLE realmlift;`)
    .action(async (options: { role: string; dryRun?: true; strip?: string[]; keep?: string[] }) => {
      const sql = await install({
        settings: connectionSettings(process.env.DATABASE_URL, process.env), role: options.role,
        decisions: { strip: new Set(options.strip ?? []), keep: new Set(options.keep ?? []) }, dryRun: options.dryRun === true,
      });
      if (options.dryRun === true) process.stdout.write(sql);
      else process.stderr.write(`realmlift: views made in the schema realmlift; ${options.role} may read them\n`);
    });
}
