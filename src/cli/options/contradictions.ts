/** Choices that exclude each other: one of the two would be dropped without a word. */
import type { Command } from 'commander';
import { EXIT, RealmliftError } from '../../errors.js';

/** Words that were given, as the command line names them, and what is wrong with them together. */
export interface Contradiction {
  readonly when: boolean;
  readonly message: string;
  readonly hint: string;
}

/** @throws RealmliftError USAGE for the first that holds */
export function refuseContradictions(contradictions: readonly Contradiction[]): void {
  const found = contradictions.find(({ when }) => when);
  if (found !== undefined) throw new RealmliftError('USAGE', 'usage', found.message, { hint: found.hint, exit: EXIT.usage });
}

/** Whether the option was given, and is not there by default. @param name as commander has it, e.g. `consentMessage` */
export function isGiven(command: Command, name: string): boolean {
  return command.getOptionValueSource(name) === 'cli';
}
