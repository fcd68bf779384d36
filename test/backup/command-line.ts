/** Runs the command line in a process of its own, which a test can kill or limit. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { CLI } from '../testbed/tested-cli.js';

export interface Finished {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Running {
  readonly process: ChildProcess;
  readonly finished: Promise<Finished>;
}

/** @param limit a shell's `ulimit` to run under, e.g. `-f 16` */
export function start(words: readonly string[], env: Readonly<Record<string, string>>, limit?: string): Running {
  const command = limit === undefined ? [process.execPath, CLI, ...words] : ['/bin/sh', '-c', `ulimit ${limit}; exec "$@"`, 'sh', process.execPath, CLI, ...words];
  const child = spawn(command[0] as string, command.slice(1), { env: { PATH: process.env.PATH, TMPDIR: process.env.TMPDIR, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  const finished = (async () => {
    const exited = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>;
    const [stdout, stderr, [code, signal]] = await Promise.all([text(child.stdout), text(child.stderr), exited]);
    return { code, signal, stdout, stderr };
  })();
  return { process: child, finished };
}

export function realmlift(words: readonly string[], env: Readonly<Record<string, string>> = {}, limit?: string): Promise<Finished> {
  return start(words, env, limit).finished;
}
