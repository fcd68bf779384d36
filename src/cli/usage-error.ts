/** What commander says of wrong words, as an error of ours. */
import { CommanderError } from 'commander';
import { RealmliftError } from '../errors.js';
import { realmliftCommand } from './commands.js';

/** @param command whose help explains; empty where it is not known */
export function usageError({ message }: CommanderError, command: string): RealmliftError {
  return new RealmliftError('USAGE', 'usage', message.replace(/^error: /, '').replace(' is invalid. ', ' is invalid: ').replace(/\.$/, ''), { hint: `realmlift ${command === '' ? '' : `${command} `}--help explains` });
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
