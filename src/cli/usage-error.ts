/** What commander says of wrong words, as an error of ours. */
import { CommanderError, type Command } from 'commander';
import { EXIT, RealmliftError } from '../errors.js';
import { realmliftCommand } from './commands.js';

/** @param command whose help explains; empty where it is not known */
export function usageError({ message }: CommanderError, command: string): RealmliftError {
  return new RealmliftError('USAGE', 'usage', message.replace(/^error: /, '').replace(' is invalid. ', ' is invalid: ').replace(/\.$/, ''), { hint: `realmlift ${command === '' ? '' : `${command} `}--help explains` });
}

/** The root domain's realm has the empty subdomain. */
const MAY_BE_EMPTY: ReadonlySet<string> = new Set(['realm', 'exclude', 'subdomain']);

/** What Node makes of bytes that are no UTF-8: another name than the one that was given. */
const REPLACED = '\ufffd';

/** @throws RealmliftError USAGE for values that are empty, as an unset variable of a shell is, or that did not arrive as they were given */
export function refuseWords(command: Command): void {
  const given = [
    ...command.options.filter((option) => command.getOptionValueSource(option.attributeName()) === 'cli').map((option) => ({ name: option.long ?? '', may: MAY_BE_EMPTY.has(option.attributeName()), value: command.getOptionValue(option.attributeName()) as unknown })),
    ...command.registeredArguments.map((argument, index) => ({ name: `the ${argument.name()}`, may: false, value: command.processedArgs[index] as unknown })),
  ];
  for (const { name, may, value } of given) {
    const texts = [value].flat().filter((each) => typeof each === 'string');
    if (!may && texts.includes('')) throw new RealmliftError('USAGE', 'usage', `${name} is empty`, { hint: 'is a variable of the shell not set? Say what is meant, or leave it out', exit: EXIT.usage });
    if (texts.some((text) => text.includes(REPLACED))) throw new RealmliftError('USAGE', 'usage', `${name} is no valid UTF-8, and would become another name`, { hint: 'give a name in UTF-8, such as a symbolic link to what is meant', exit: EXIT.usage });
  }
}

/** Reads the words of a command and does nothing. @returns what is wrong with them */
export async function faultOf(words: readonly string[]): Promise<RealmliftError | undefined> {
  const [named = ''] = words;
  const program = await realmliftCommand(named);
  for (const command of [program, ...program.commands]) command.exitOverride().configureOutput({ writeOut: () => undefined, writeErr: () => undefined, outputError: () => undefined }).action(() => undefined);
  try {
    await program.parseAsync([...words], { from: 'user' });
    return undefined;
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    return error.exitCode === 0 ? undefined : usageError(error, program.commands.length > 1 ? '' : named);
  }
}
