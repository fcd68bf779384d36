/**
 * The command line in this process: a third of the processor time of one of its own, for tests of what a command does or says, and
 * not of how its process starts, is limited, is killed or ends. Nothing of the operating system is different for it. What streams to standard
 * output needs a process of its own, for it ends that of the test too.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { Call } from '../../src/cli/call.js';
import { Mutex } from '../../src/mutex.js';
import { ended, withoutServers, type Ended } from './command-line.js';

interface Output { readonly stdout: Buffer[]; readonly stderr: Buffer[] }

/** What a command writes is its own, and what the tests beside it write goes its way. */
const outputs = new AsyncLocalStorage<Output>();

for (const name of ['stdout', 'stderr'] as const) {
  const write = process[name].write.bind(process[name]) as (chunk: string | Uint8Array, ...more: unknown[]) => boolean;
  process[name].write = (chunk: string | Uint8Array, ...more: unknown[]): boolean => {
    const output = outputs.getStore();
    if (output === undefined) return write(chunk, ...more);
    output[name].push(Buffer.from(chunk as string));
    const done = more.at(-1);
    if (typeof done === 'function') process.nextTick(done);
    return true;
  };
}

/** Commands read the environment and set the exit code of the process: one after the other. */
const turn = new Mutex();

/** Runs `realmlift ARGUMENTS…` to its end, with settings of no other servers than `env` names. */
export function realmliftHere(parameters: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ended> {
  return turn.run(async () => {
    const output: Output = { stdout: [], stderr: [] };
    const { env: before, exitCode: codeBefore } = process;
    process.env = { ...withoutServers(), ...env };
    process.exitCode = 0;
    const call = new Call(parameters);
    let code: number;
    try {
      await outputs.run(output, () => call.run());
      code = Number(process.exitCode);
    } catch (error) {
      const { exit, line } = call.failure(error);
      code = exit;
      if (line !== undefined) output.stderr.push(Buffer.from(`${line}\n`));
    } finally {
      process.env = before;
      process.exitCode = codeBefore;
    }
    return ended(code, null, Buffer.concat(output.stdout).toString(), Buffer.concat(output.stderr).toString());
  });
}
