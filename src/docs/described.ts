/** A command as its definition says it: what help, pages, man pages and completions have in common. */
import type { Command } from 'commander';

export interface DescribedOption {
  /** `-j, --jobs <n>` */
  readonly flags: string;
  readonly long: string;
  readonly short: string | undefined;
  readonly takesValue: boolean;
  readonly choices: readonly string[];
  /** Whether its value is the path of something on this machine. */
  readonly takesPath: boolean;
  /** With choices and default, in one line. */
  readonly text: string;
}

export interface DescribedCommand {
  readonly name: string;
  readonly group: string;
  readonly description: string;
  /** `realmlift verify [options] <directory>` */
  readonly usage: string;
  readonly arguments: readonly { readonly name: string; readonly text: string; readonly choices: readonly string[] }[];
  readonly groups: readonly { readonly title: string; readonly options: readonly DescribedOption[] }[];
  /** What stands behind the options: examples, remarks, exit codes. */
  readonly after: string;
}

/** What stands for the value of such an option. */
const PATHS = /<(file|dir|place|program)>/;

/** Defaults that depend on the machine are told in words. */
const BY_MACHINE: Readonly<Record<string, string>> = { '--jobs': 'the processors' };

export function describe(command: Command): DescribedCommand {
  const help = command.createHelp();
  const groups = new Map<string, DescribedOption[]>();
  for (const option of help.visibleOptions(command)) {
    const title = (option.helpGroupHeading ?? 'Options:').replace(/:$/, '');
    const machine = BY_MACHINE[option.long ?? ''];
    const value: unknown = option.defaultValue;
    const shown = value === undefined || typeof value === 'boolean' || (Array.isArray(value) && value.length === 0) ? undefined : machine ?? option.defaultValueDescription ?? (Array.isArray(value) ? value.join(', ') : JSON.stringify(value).replaceAll('"', ''));
    const extras = [...(option.argChoices === undefined ? [] : [`one of ${option.argChoices.join(', ')}`]), ...(shown === undefined ? [] : [`default: ${shown}`])];
    groups.set(title, [...groups.get(title) ?? [], {
      flags: option.flags, long: option.long ?? option.flags, short: option.short, takesValue: option.required || option.optional, choices: option.argChoices ?? [], takesPath: PATHS.test(option.flags),
      text: `${option.description}${extras.length === 0 ? '' : ` (${extras.join('; ')})`}`,
    }]);
  }
  return {
    name: command.name(), group: command.helpGroup().replace(/:$/, ''), description: command.description(), usage: `realmlift ${help.commandUsage(command).replace(/^realmlift /, '')}`,
    arguments: command.registeredArguments.map((each) => ({ name: each.name(), text: each.description, choices: each.argChoices ?? [] })),
    groups: [...groups].map(([title, options]) => ({ title, options })), after: afterOf(command),
  };
}

function afterOf(command: Command): string {
  let text = '';
  const before = command.configureOutput();
  command.configureOutput({ writeOut: (more) => { text += more; } });
  command.outputHelp();
  command.configureOutput(before);
  return text.slice(command.helpInformation().length).trim();
}

export function optionsOf({ groups }: Pick<DescribedCommand, 'groups'>): DescribedOption[] {
  return groups.flatMap(({ options }) => options);
}

/** A word in the single quotes of shells. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
