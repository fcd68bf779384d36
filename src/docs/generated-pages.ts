/** All that is made of the definitions, by its path below docs/. */
import type { Command } from 'commander';
import { describe } from './described.js';
import { manPage } from './man-page.js';
import { commandPage, commandsIndex } from './markdown.js';

/** @param program with all of its commands */
export function generatedPages(program: Command): Map<string, string> {
  const commands = program.commands.map(describe);
  const names = commands.map(({ name }) => `realmlift-${name}`);
  const whole = describe(program);
  const list = `Commands:\n${commands.map(({ name, description }) => `${name}\n${description}`).join('\n')}`;
  return new Map([
    ['commands/README.md', commandsIndex(commands)],
    ...commands.map((command): [string, string] => [`commands/${command.name}.md`, commandPage(command)]),
    ['man/realmlift.1', manPage({ ...whole, after: `${list}\n\n${whole.after}` }, names)],
    ...commands.map((command): [string, string] => [`man/realmlift-${command.name}.1`, manPage(command, ['realmlift', ...names.filter((each) => each !== `realmlift-${command.name}`)])]),
  ]);
}
