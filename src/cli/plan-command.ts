/** `realmlift plan`: what an export would do, without doing it. */
import { Command, Option } from 'commander';
import { EXIT } from '../errors.js';
import { size } from '../numbers.js';
import { writeNamed } from '../package/own-path.js';
import { diskError } from '../package/part-file.js';
import { planReport } from '../commands/plan.js';
import { planPage } from '../planning/plan-page.js';
import { connectionSettings } from '../snapshot/connection-settings.js';
import { freeSpace } from '../free-space.js';
import { addLockOptions, lockPatience, type LockOptions } from './options/lock-options.js';
import { longSteps, nothingLeft } from './long-command.js';
import { addNarrationOptions, type NarrationOptions } from './story/narrate.js';
import { planText } from './story/plan-details.js';
import { isPlanned, planTable, planTotals } from './story/plan-table.js';
import { peopleOf, type PeopleOptions } from './options/people-options.js';
import { addRealmOptions, realmsOf, type RealmArguments } from './options/realm-options.js';
import { addSchemaOptions, decisionsOf, type SchemaOptions } from './options/schema-options.js';
import { wholeNumber } from './options/whole-number.js';
import { tellWarning } from '../narration.js';

interface PlanArguments extends SchemaOptions, LockOptions, NarrationOptions, RealmArguments, Omit<PeopleOptions, 'files'> {
  readonly html?: string;
  readonly output: string;
  readonly verbose?: true;
}

export function planCommand(): Command {
  const command = addRealmOptions(new Command('plan'))
    .optionsGroup('What:')
    .addOption(new Option('--mode <mode>', 'whose private data travels').choices(['full', 'consent', 'public']).default('full'))
    .option('--users <file>', 'users whose transfer was approved')
    .option('--allow-unknown', 'skip users that the realm does not have')
    .option('--consent-message <id>', 'consent is a reaction to this message (before Zulip 10)', wholeNumber(1))
    .option('--force', 'plan although nobody could administer the result');
  addSchemaOptions(addLockOptions(command).optionsGroup('What the database does not say:'))
    .optionsGroup('Where to:')
    .option('--output <dir>', 'where the export would go: is there room?', 'out')
    .option('--html <file>', 'also write it as a page that stands alone')
    .optionsGroup('Running:')
    .option('--verbose', 'of many realms tell the details too');
  return addNarrationOptions(command)
    .addHelpText('after', `
Examples:
  realmlift plan                             all realms, one a line, the largest first
  realmlift plan --realm acme                one realm, table by table
  realmlift plan --realm acme --mode consent --html plan.html
  realmlift plan --all-realms --exclude test --output /srv/exports

Without the name of a realm all are meant. Rows are counted; bytes, time and disk are estimated.
Exit codes: 0 done; 1 failed; 2 wrong usage; 3 an export would be refused.`)
    .action(async (options: PlanArguments) => {
      const { mode, approved, allowUnknown, consentMessage, force } = peopleOf(command, { ...options, files: false }, 'export');
      const realms = realmsOf(options) ?? 'all';
      const plans = await longSteps(options, nothingLeft('plan'), () => planReport({
        settings: connectionSettings(process.env.DATABASE_URL, process.env), zulipVersion: options.zulipVersion,
        patience: lockPatience(options),
        targets: { realms, exclude: options.exclude ?? [], users: undefined, approved, allowUnknown },
        request: { mode, consentMessage, force, decisions: decisionsOf(options) },
      }, tellWarning));
      const good = plans.filter(isPlanned);
      if (options.html !== undefined) await writeNamed(options.html, planPage(good)).catch((error: unknown) => { throw diskError(error, options.html as string); });
      const room = await freeSpace(options.output);
      const totals = planTotals(good, room.free);
      if (options.json === true) {
        const exports = plans.map((plan) => (isPlanned(plan) ? plan : { target: plan.target, mode: plan.mode, refused: { code: plan.refused.code, message: plan.refused.message, hint: plan.refused.hint } }));
        process.stdout.write(`${JSON.stringify({ exports, totals })}\n`);
      } else if (options.quiet !== true) {
        const details = plans.length === 1 || options.verbose === true ? good.map(planText) : [];
        const table = plans.length === 1 ? [`disk: about ${size(totals.disk)} of ${size(room.free)} that are free at ${room.place}\n`] : [planTable(plans, totals, room.place)];
        process.stdout.write([...details, ...table].join(plans.length === 1 ? '' : '\n'));
      }
      if (good.length < plans.length) process.exitCode = EXIT.nothingExported;
    });
}
