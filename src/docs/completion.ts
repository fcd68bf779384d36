/** Completion of commands, options and their choices for bash, zsh and fish. */
import type { DescribedCommand, DescribedOption } from './described.js';

export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

export function completion(shell: Shell, commands: readonly DescribedCommand[]): string {
  return shell === 'fish' ? fish(commands) : shell === 'zsh' ? `#compdef realmlift\nautoload -U +X bashcompinit && bashcompinit\n${bash(commands)}` : bash(commands);
}

function optionsOf({ groups }: DescribedCommand): DescribedOption[] {
  return groups.flatMap(({ options }) => options);
}

function bash(commands: readonly DescribedCommand[]): string {
  const words = commands.map((command) => `    ${command.name}) options=${quoted(optionsOf(command).map(({ long }) => long).join(' '))} ;;`);
  const choices = commands.flatMap((command) => optionsOf(command).filter((option) => option.choices.length > 0)
    .map(({ long, choices: all }) => `    ${command.name}:${long}) COMPREPLY=($(compgen -W ${quoted(all.join(' '))} -- "$word")); return ;;`));
  const values = [...new Set(commands.flatMap((command) => optionsOf(command).filter(({ takesValue }) => takesValue).map(({ long }) => long)))];
  return `# Completion of realmlift, made from its own definitions.
_realmlift() {
  local word="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}" command="\${COMP_WORDS[1]}" options=""
  if [ "$COMP_CWORD" = 1 ]; then COMPREPLY=($(compgen -W ${quoted(commands.map(({ name }) => name).join(' '))} -- "$word")); return; fi
  case "$command:$previous" in
${choices.join('\n')}
  esac
  case "$previous" in ${values.join('|')}) COMPREPLY=($(compgen -f -- "$word")); return ;; esac
  case "$command" in
${words.join('\n')}
  esac
  if [[ "$word" == -* ]]; then COMPREPLY=($(compgen -W "$options" -- "$word")); else COMPREPLY=($(compgen -f -- "$word")); fi
}
complete -o filenames -F _realmlift realmlift
`;
}

function fish(commands: readonly DescribedCommand[]): string {
  const lines = commands.flatMap((command) => [
    `complete -c realmlift -n __fish_use_subcommand -f -a ${command.name} -d ${quoted(command.description)}`,
    ...optionsOf(command).map(({ long, short, takesValue, choices, text }) => [
      `complete -c realmlift -n ${quoted(`__fish_seen_subcommand_from ${command.name}`)} -l ${long.slice(2)}`,
      ...(short === undefined ? [] : [`-s ${short.slice(1)}`]), ...(takesValue ? ['-r'] : []), ...(choices.length === 0 ? [] : [`-f -a ${quoted(choices.join(' '))}`]), `-d ${quoted(text)}`,
    ].join(' ')),
  ]);
  return `# Completion of realmlift, made from its own definitions.\n${lines.join('\n')}\n`;
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
