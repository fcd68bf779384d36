/** `realmlift plan`: what an export would do, without doing it. */
import { writeFile } from 'node:fs/promises';
import { Command, Option } from 'commander';
import { diskError } from '../package/part-file.js';
import { planReport, type PlannedExport } from '../plan-report.js';
import { readUserList } from '../plan/user-list.js';
import { planPage } from '../report/plan-page.js';
import { connectionSettings } from '../snapshot/connection-settings.js';
import { collect } from './collect.js';
import { addLockOptions, lockPatience, type LockOptions } from './lock-options.js';
import { addSchemaOptions, decisionsOf, type SchemaOptions } from './schema-options.js';
import { size, thousands } from '../numbers.js';
import { wholeNumber } from './whole-number.js';

interface PlanArguments extends SchemaOptions, LockOptions {
  readonly realm?: string[];
  readonly mode: 'full' | 'consent' | 'public';
  readonly users?: string;
  readonly allowUnknown?: true;
  readonly consentMessage?: number;
  readonly force?: true;
  readonly json?: true;
  readonly html?: string;
}

export function planCommand(): Command {
  const command = new Command('plan')
    .optionsGroup('Whom:')
    .option('--realm <name>', 'subdomain of the realm; may be repeated; without one, all realms', collect)
    .optionsGroup('What:')
    .addOption(new Option('--mode <mode>', 'whose private data travels').choices(['full', 'consent', 'public']).default('full'))
    .option('--users <file>', 'users whose transfer was approved')
    .option('--allow-unknown', 'skip users that the realm does not have')
    .option('--consent-message <id>', 'consent is a reaction to this message (before Zulip 10)', wholeNumber(1))
    .option('--force', 'plan although nobody could administer the result');
  return addSchemaOptions(addLockOptions(command))
    .optionsGroup('Where to:')
    .option('--json', 'print the plan as JSON')
    .option('--html <file>', 'also write it as a page that stands alone')
    .addHelpText('after', `
Examples:
  realmlift plan --realm acme
  realmlift plan --realm acme --mode consent --html plan.html

Rows are counted, bytes, time and disk are estimated.
Exit codes: 0 done; 1 failed; 2 wrong usage; 3 an export would be refused.`)
    .action(async (options: PlanArguments) => {
      const approved = options.users === undefined ? undefined : readUserList(options.users);
      const plans = await planReport({
        settings: connectionSettings(process.env.DATABASE_URL, process.env), zulipVersion: options.zulipVersion,
        patience: lockPatience(options),
        targets: { realms: options.realm ?? 'all', exclude: [], users: undefined, approved, allowUnknown: options.allowUnknown === true },
        request: {
          mode: approved === undefined ? options.mode : 'consent', consentMessage: options.consentMessage, force: options.force === true,
          decisions: decisionsOf(options),
        },
      }, (why) => process.stderr.write(`realmlift: ${why}\n`));
      if (options.html !== undefined) await writeFile(options.html, planPage(plans), { mode: 0o600 }).catch((error: unknown) => { throw diskError(error, options.html as string); });
      process.stdout.write(options.json === true ? `${JSON.stringify(plans, null, 2)}\n` : plans.map(text).join('\n'));
    });
}

function text(plan: PlannedExport): string {
  const { zulip, tables, files, leftOut } = plan;
  const lines = [
    `${plan.target} (${plan.mode}): Zulip ${zulip.release}, rules of migration ${zulip.rules_of_migration}`,
    `  ${zulip.evidence}`,
    ...tables.filter(({ rows }) => rows > 0).map(({ table, rows, bytes, estimated }) => `  ${table.padEnd(34)} ${`${estimated ? 'about ' : ''}${thousands(rows)}`.padStart(18)} rows  about ${size(bytes)}`),
    `  ${'uploaded files'.padEnd(34)} ${thousands(files.uploads).padStart(18)}       ${size(files.bytes)}`,
    `  ${plan.messageFiles} messages files; about ${size(plan.disk)} of disk, about ${Math.ceil(plan.seconds)} s and the time of the files`,
    ...leftOut.map(({ reason, rows, what }) => `  stays: ${thousands(rows)} ${what}: ${reason}`),
    ...(plan.stripped.length > 0 ? [`  secrets left out: ${plan.stripped.join(', ')}`] : []),
    ...(plan.unknownTables.length > 0 ? [`  tables that nothing classifies, not exported: ${plan.unknownTables.join(', ')}`] : []),
    ...(plan.unknownColumns.length > 0 ? [`  columns that no known release has, exported: ${plan.unknownColumns.join(', ')}`] : []),
    ...Object.entries(plan.rules).filter(([, rule]) => rule !== 'otherwise').map(([name, rule]) => `  rule: ${name}: ${rule}`),
  ];
  return `${lines.join('\n')}\n`;
}
