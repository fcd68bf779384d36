/** Runs one compiled test file in a Node process of its own and reads its TAP output. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { SHORT_RUN } from './node-flags.js';
import { TapOutcome } from './tap-outcome.js';
import type { Failure } from './tap-outcome.js';

const ONE_FILE = join(import.meta.dirname, 'one-file.js');

/** Seconds that a file may take. */
const LIMIT = 600;
const LIMIT_OF_LONG_TESTS = 7200;

/**
 * @param environment of the process
 * @param seconds what the file may take before it is stopped; by default as said above
 */
export async function runTestFile(file: string, environment: NodeJS.ProcessEnv, seconds?: number): Promise<TapOutcome> {
  const limit = seconds ?? (file.endsWith('.long.test.js') ? LIMIT_OF_LONG_TESTS : LIMIT);
  const outcome = new TapOutcome();
  const child = spawn(process.execPath, [...SHORT_RUN, '--enable-source-maps', ONE_FILE, file], {
    // Tap's own limit comes first, and says which subtest took too long.
    env: { ...environment, TAP_TIMEOUT: String(limit) }, stdio: ['ignore', 'pipe', 'pipe'],
  });
  const timer = setTimeout(() => child.kill('SIGKILL'), (limit + 10) * 1000);
  const read = async (): Promise<void> => {
    for await (const chunk of child.stdout) outcome.write(chunk as Buffer);
  };
  const [errors, [code, signal]] = await Promise.all([text(child.stderr), once(child, 'exit') as Promise<[number | null, string | null]>, read()]);
  clearTimeout(timer);
  outcome.end();

  const ending = signal === null ? `exit code ${code}` : `ended by ${signal}`;
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
