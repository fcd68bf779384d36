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

/**
 * Options that would do nothing beside the others, where who gives them must think that more is done than is. What speeds or places something that is not asked for does no harm.
 *
 * @param idle whether they are that here @param names as commander has them @param what they are for, behind the option: `is for …`
 * @throws RealmliftError USAGE for the first that was given
 */
export function refuseIdle(command: Command, idle: boolean, names: readonly string[], what: string, hint: string): void {
  const given = idle ? names.find((name) => isGiven(command, name)) : undefined;
  if (given === undefined) return;
  const { long } = command.options.find((option) => option.attributeName() === given) ?? {};
  refuseContradictions([{ when: true, message: `${long ?? given} ${what}`, hint }]);
}

/** Whether the option was given, and is not there by default. @param name as commander has it, e.g. `consentMessage` */
export function isGiven(command: Command, name: string): boolean {
  return command.getOptionValueSource(name) === 'cli';
}
