/** The words of a command line -> one call, and what is told of how it went wrong. */
import { CommanderError } from 'commander';
import type { Command } from 'commander';
import { asRealmliftError, EXIT, RealmliftError } from '../errors.js';
import { removeAbandoned } from '../temporary-directory.js';
import { realmliftCommand } from './commands.js';
import { errorJson } from './story/error-json.js';
import { refuseWords, usageError } from './usage-error.js';

/** How a call ended that failed. */
export interface Failure {
  /** The exit code. */
  readonly exit: number;
  /** One line, never a row's content, with the stack only under --debug; undefined where nothing is to be said. */
  readonly line: string | undefined;
}

export class Call {
  readonly #words: readonly string[];
  /** The command that is called, as far as it is known. */
  readonly #named: string;
  readonly #asksForHelp: boolean;
  #program: Command | undefined;

  /** @param words of the command line, without the program's own */
  constructor(words: readonly string[]) {
    this.#words = words;
    const [first = '', second = ''] = words.filter((word) => !word.startsWith('-'));
    this.#asksForHelp = first === 'help';
    this.#named = this.#asksForHelp ? second : first;
  }

  /** Does what the words say. @throws what failure() can tell of */
  async run(): Promise<void> {
    const program = await realmliftCommand(this.#named);
    this.#program = program;
    program.hook('preAction', (_, command) => { refuseWords(command); });
    program.hook('preAction', removeAbandoned);
    // The one line that says what is wrong comes from failure().
    for (const command of [program, ...program.commands]) command.exitOverride().configureOutput({ outputError: () => undefined });
    // The help of what is no command would be that of all, as if it had been asked for.
    const asked = this.#asksForHelp && this.#named !== '' && program.commands.length > 1 ? [this.#named] : this.#words;
    await program.parseAsync([...asked], { from: 'user' }).catch((error: unknown) => {
      // The help and the version are an output like any other.
      if (!(error instanceof CommanderError && error.exitCode === 0)) throw error;
    });
  }

  /** What is told of an error that run() threw, or that comes from elsewhere. */
  failure(error: unknown): Failure {
    if (error instanceof CommanderError) {
      // Without any word the help itself was printed.
      if (error.code === 'commander.help') return { exit: EXIT.usage, line: undefined };
      const wrong = usageError(error, this.#program === undefined || this.#program.commands.length > 1 ? '' : this.#named);
      return { exit: EXIT.usage, line: this.#words.includes('--json') ? errorJson(wrong) : wrong.line };
    }
    const known = asRealmliftError(error);
    if (known.code === 'OUTPUT_CLOSED') return { exit: known.exit, line: undefined };
    const json = this.#program?.commands.some((command) => command.opts<{ json?: true }>().json === true) === true;
    return { exit: known.exit, line: json ? errorJson(known) : this.#words.includes('--debug') ? chain(error) : known.line };
  }
}

function chain(error: unknown): string {
  const lines: string[] = [];
  for (let each: unknown = error; each instanceof Error; each = each.cause) {
    lines.push(each instanceof RealmliftError ? `${each.line}\n${each.stack ?? ''}` : (each.stack ?? each.message));
  }
  return lines.join('\ncaused by: ');
}
