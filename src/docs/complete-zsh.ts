/** Completion of zsh, by its own _arguments: zshcompsys(1). */
import { optionsOf, quoted, type DescribedCommand, type DescribedOption } from './described.js';

export function zsh(commands: readonly DescribedCommand[]): string {
  const list = commands.map(({ name, description }) => `    ${quoted(`${name}:${description}`)}`).join('\n');
  const cases = commands.map((command) => {
    const parameters = command.arguments.map(({ name, choices }) => quoted(`*:${name}:${choices.length > 0 ? `(${choices.join(' ')})` : '_files'}`));
    return `    ${command.name}) _arguments -s ${[...optionsOf(command).map(argument), ...parameters].join(' ')} ;;`;
  });
  return `#compdef realmlift
# Completion of realmlift, made from its own definitions.
_realmlift() {
  local -a commands
  commands=(
${list}
    'help:explain a command'
  )
  if (( CURRENT == 2 )); then _describe command commands; return; fi
  local command=\${words[2]}
  shift words
  (( CURRENT-- ))
  case $command in
    help) _describe command commands ;;
${cases.join('\n')}
  esac
}
if [ "$funcstack[1]" = _realmlift ]; then _realmlift "$@"; else compdef _realmlift realmlift; fi
`;
}

function argument({ long, takesValue, takesPath, choices, text }: DescribedOption): string {
  const meaning = text.replace(/[[\]:\\]/g, (letter) => `\\${letter}`);
  const value = !takesValue ? '' : `:${long.slice(2)}:${choices.length > 0 ? `(${choices.join(' ')})` : takesPath ? '_files' : ' '}`;
  return quoted(`*${long}[${meaning}]${value}`);
}
