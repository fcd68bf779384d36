/** Runs one compiled test file in a Node process of its own and reads its TAP output. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { TapOutcome } from './tap-outcome.js';
import type { Failure } from './tap-outcome.js';

/** Seconds that one subtest, and one file, may take; the long tests more. */
const LIMITS = { subtest: 120, file: 600 } as const;
const LONG_LIMITS = { subtest: 3600, file: 7200 } as const;

/**
 * @param environment of the process
 * @param seconds what the file may take before it is killed; by default as said above
 */
export async function runTestFile(file: string, environment: NodeJS.ProcessEnv, seconds?: number): Promise<TapOutcome> {
  const limits = file.endsWith('.long.test.js') ? LONG_LIMITS : LIMITS;
  const limit = seconds ?? limits.file;
  const outcome = new TapOutcome();
  const child = spawn(process.execPath, ['--enable-source-maps', file], {
    env: { ...environment, TAP_TIMEOUT: String(limits.subtest) }, stdio: ['ignore', 'pipe', 'pipe'],
  });
  const timer = setTimeout(() => child.kill('SIGKILL'), limit * 1000);
  const read = async (): Promise<void> => {
    for await (const chunk of child.stdout) outcome.write(chunk as Buffer);
  };
  const [errors, [code, signal]] = await Promise.all([text(child.stderr), once(child, 'exit') as Promise<[number | null, string | null]>, read()]);
  clearTimeout(timer);
  outcome.end();

  const ending = signal === null ? `exit code ${code}` : `ended by ${signal}, ${limit} s allowed`;
  const isWhole = ({ path }: Failure): boolean => path.length === 1 && path[0] === 'the file';
  if (code !== 0 && outcome.failures.every(isWhole)) {
    const details = outcome.failures.splice(0).map(({ detail }) => detail);
    outcome.fail(['the file'], [ending, ...details, errors.trim()].join('\n').trim());
  } else if (outcome.failures.length === 0 && outcome.passed === 0) {
    outcome.fail(['the file'], 'no asserts');
  } else if (outcome.failures.length > 0 && errors !== '') {
    console.error(errors.trim());
  }
  return outcome;
}
