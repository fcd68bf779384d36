/** `realmlift completion SHELL`. */
import { Argument, Command } from 'commander';
import { completion, SHELLS, type Shell } from '../docs/completion.js';
import { describe } from '../docs/described.js';

/** @param wholeProgram the program with all of its commands */
export function completionCommand(wholeProgram: () => Promise<Command>): Command {
  return new Command('completion')
    .addArgument(new Argument('<shell>', 'bash, zsh or fish').choices(SHELLS))
    .addHelpText('after', `
Examples:
  realmlift completion bash > /etc/bash_completion.d/realmlift
  realmlift completion zsh  > ~/.zfunc/_realmlift
  realmlift completion fish > ~/.config/fish/completions/realmlift.fish

Exit codes: 0 done; 2 wrong usage.`)
    .action(async (shell: Shell) => {
      process.stdout.write(completion(shell, (await wholeProgram()).commands.map(describe)));
    });
}
