/** Completion of commands, options, their choices and paths, for bash, zsh and fish. */
import { bash } from './complete-bash.js';
import { fish } from './complete-fish.js';
import { zsh } from './complete-zsh.js';
import type { DescribedCommand } from './described.js';

export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

export function completion(shell: Shell, commands: readonly DescribedCommand[]): string {
  return { bash, zsh, fish }[shell](commands);
}
