/** Completion of bash: one function. */
import { optionsOf, quoted, type DescribedCommand } from './described.js';

export function bash(commands: readonly DescribedCommand[]): string {
  const names = commands.map(({ name }) => name).join(' ');
  const chosen = commands.flatMap((command) => [
    ...optionsOf(command).filter(({ choices }) => choices.length > 0).map(({ long, choices }) => `    ${command.name}:${long}) words=${quoted(choices.join(' '))} ;;`),
    ...optionsOf(command).filter(({ takesPath }) => takesPath).map(({ long }) => `    ${command.name}:${long}) files=yes ;;`),
    ...optionsOf(command).filter(({ takesValue, takesPath, choices }) => takesValue && !takesPath && choices.length === 0).map(({ long }) => `    ${command.name}:${long}) return ;;`),
  ]);
  const options = commands.map((command) => {
    const all = optionsOf(command).map(({ long }) => long).join(' ');
    const choices = command.arguments.flatMap((each) => each.choices);
    return `      ${command.name}) options=${quoted(all)}${choices.length > 0 ? ` words=${quoted(choices.join(' '))}` : command.arguments.length > 0 ? ' files=yes' : ''} ;;`;
  });
  return `# Completion of realmlift, made from its own definitions.
_realmlift() {
  local word="\${COMP_WORDS[COMP_CWORD]}" command="\${COMP_WORDS[1]}" words="" files="" options=""
  if [ "$COMP_CWORD" = 1 ]; then COMPREPLY=($(compgen -W ${quoted(`${names} help --help --version --debug`)} -- "$word")); return; fi
  case "$command:\${COMP_WORDS[COMP_CWORD-1]}" in
    help:*) words=${quoted(names)} ;;
${chosen.join('\n')}
    *) case "$command" in
${options.join('\n')}
    esac ;;
  esac
  [[ "$word" == -* ]] && words="$options"
  if [[ -n "$words" ]]; then COMPREPLY=($(compgen -W "$words" -- "$word"));
  elif [[ -n "$files" ]]; then compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$word");
  else COMPREPLY=($(compgen -W "$options" -- "$word")); fi
}
complete -F _realmlift realmlift
`;
}
