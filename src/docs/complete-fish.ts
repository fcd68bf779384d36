/** Completion of fish: a line each. */
import { optionsOf, quoted, type DescribedCommand } from './described.js';

export function fish(commands: readonly DescribedCommand[]): string {
  const lines = commands.flatMap((command) => {
    const seen = `-n ${quoted(`__fish_seen_subcommand_from ${command.name}`)}`;
    const choices = command.arguments.flatMap((each) => each.choices);
    return [
      `complete -c realmlift -n __fish_use_subcommand -f -a ${command.name} -d ${quoted(command.description)}`,
      ...(choices.length > 0 ? [`complete -c realmlift ${seen} -f -a ${quoted(choices.join(' '))}`] : command.arguments.length === 0 ? [`complete -c realmlift ${seen} -f`] : []),
      ...optionsOf(command).map(({ long, short, takesValue, takesPath, choices: values, text }) => [
        `complete -c realmlift ${seen} -l ${long.slice(2)}`, ...(short === undefined ? [] : [`-s ${short.slice(1)}`]),
        ...(!takesValue ? [] : values.length > 0 ? [`-x -a ${quoted(values.join(' '))}`] : takesPath ? ['-r -F'] : ['-x']), `-d ${quoted(text)}`,
      ].join(' ')),
    ];
  });
  return `# Completion of realmlift, made from its own definitions.
complete -c realmlift -n __fish_use_subcommand -f
${lines.join('\n')}
`;
}
