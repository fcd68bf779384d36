/** docs/commands/: a page a command. */
import type { DescribedCommand } from './described.js';

const NOTE = '<!-- Made by `npm run docs` from the definitions in src/cli: change them there. -->';

export function commandPage({ name, description, usage, arguments: parameters, groups, after }: DescribedCommand): string {
  const lines = [
    `# realmlift ${name}`, '', NOTE, '', description, '', '```', usage, '```', '',
    ...(parameters.length === 0 ? [] : ['| argument | |', '|---|---|', ...parameters.map((each) => `| \`${each.name}\` | ${cell(each.text)} |`), '']),
    ...groups.flatMap(({ title, options }) => [`## ${title}`, '', '| option | meaning |', '|---|---|', ...options.map(({ flags, text }) => `| \`${flags.replaceAll('|', '\\|')}\` | ${cell(text)} |`), '']),
    ...sections(after),
  ];
  return `${lines.join('\n').trimEnd()}\n`;
}

/** Examples keep their lines, remarks become paragraphs. */
function sections(after: string): string[] {
  return after.split(/\n\s*\n/).flatMap((block) => {
    const examples = /^Examples?:\n/.exec(block);
    if (examples !== null) return ['## Examples', '', '```', ...block.slice(examples[0].length).split('\n').map((line) => line.replace(/^ {2}/, '')), '```', ''];
    return [block.split('\n').map((line) => line.trim()).join('\n'), ''];
  });
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('<', '&lt;').replace(/`([^`]*)`/g, (code) => code.replaceAll('&lt;', '<'));
}

export function commandsIndex(commands: readonly DescribedCommand[]): string {
  const groups = [...new Set(commands.map(({ group }) => group))];
  return `# Commands

${NOTE}

${groups.map((group) => `## ${group}\n\n| command | what it does |\n|---|---|\n${commands.filter((each) => each.group === group).map(({ name, description }) => `| [\`${name}\`](${name}.md) | ${cell(description)} |`).join('\n')}\n`).join('\n')}`;
}
