/** `realmlift install`: views without secrets and a role that can read nothing else. */
import { Command } from 'commander';
import { install } from '../commands/install.js';
import { connectionSettings } from '../snapshot/connection-settings.js';
import { collect } from './options/collect.js';
import { withStopSignals, type StopWords } from './stop-signals.js';
import { decisionsOf, type ColumnOptions } from './options/schema-options.js';

const STOPPED: StopWords = { stage: 'plan', left: () => 'the views are as they were, or as they are to be', hint: () => 'run it again' };

export function installCommand(): Command {
  return new Command('install')
    .optionsGroup('Whom:')
    .option('--role <name>', 'name of the role', 'realmlift')
    .optionsGroup('What:')
    .option('--strip <table.column>', 'leave a column out of the views', collect)
    .option('--keep <table.column>', 'show a column although its name looks like a secret', collect)
    .optionsGroup('Running:')
    .option('--dry-run', 'print the SQL and change nothing')
    .option('--quiet', 'tell nothing when all is well')
    .addHelpText('after', `
Examples:
  realmlift install --dry-run
  realmlift install --role exporter

Run it again after each Zulip upgrade. The role can log in once it has a password (\\password realmlift) or an entry in pg_hba.conf.
Everything is undone by: DROP SCHEMA realmlift CASCADE; DROP ROLE realmlift;

Exit codes: 0 done; 1 failed; 2 wrong usage; 3 the database is none of Zulip's, or of a release that is not known.`)
    .action(async (options: ColumnOptions & { role: string; dryRun?: true; quiet?: true }) => {
      const sql = await withStopSignals(STOPPED, (stop) => install({
        settings: connectionSettings(process.env.DATABASE_URL, process.env), role: options.role,
        decisions: decisionsOf(options), dryRun: options.dryRun === true, stop,
      }));
      if (options.dryRun === true) process.stdout.write(sql);
      else if (options.quiet !== true) process.stderr.write(`realmlift: views made in the schema realmlift; ${options.role} may read them\n`);
    });
}
