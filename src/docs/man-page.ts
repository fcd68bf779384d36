/** Man pages in roff's man macros: man-pages(7). */
import type { DescribedCommand } from './described.js';

export function manPage({ name, description, usage, arguments: parameters, groups, after }: DescribedCommand, others: readonly string[]): string {
  const title = name === 'realmlift' ? 'realmlift' : `realmlift-${name}`;
  return `${[
    `.\\" Made by npm run docs from the definitions in src/cli.`,
    `.TH ${title.toUpperCase().replaceAll('-', '\\-')} 1 "" "realmlift" "User Commands"`,
    '.SH NAME', `${plain(title)} \\- ${plain(description.replace(/\.$/, ''))}`,
    '.SH SYNOPSIS', `.B ${plain(usage)}`,
    '.SH DESCRIPTION', plain(description),
    ...parameters.flatMap((each) => ['.TP', `.I ${plain(each.name)}`, plain(each.text)]),
    ...groups.flatMap(({ title: heading, options }) => [`.SH ${plain(heading.toUpperCase())}`, ...options.flatMap(({ flags, text }) => ['.TP', `.B ${plain(flags)}`, plain(text)])]),
    ...after.split(/\n\s*\n/).flatMap((block) => {
      if (block.startsWith('Commands:\n')) return ['.SH COMMANDS', ...block.split('\n').slice(1).flatMap((line, at) => (at % 2 === 0 ? ['.TP', `.B ${plain(line)}`] : [plain(line)])), '.SH NOTES'];
      const examples = /^Examples?:\n/.exec(block);
      return examples === null ? ['.PP', ...block.split('\n').map((line) => plain(line.trim()))] : ['.SH EXAMPLES', '.nf', ...block.slice(examples[0].length).split('\n').map(plain), '.fi', '.SH NOTES'];
    }),
    '.SH SEE ALSO', others.map((each) => `.BR ${plain(each)} (1)`).join('\n'),
  ].join('\n')}\n`;
}

/** Backslashes, hyphens, and dots and quotes where they would begin a request. */
function plain(text: string): string {
  return text.replaceAll('\\', '\\e').replaceAll('-', '\\-').replace(/^(?=[.'])/, '\\&');
}
