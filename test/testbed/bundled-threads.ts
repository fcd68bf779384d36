/**
 * Under `make test` the threads of exports in this process are the bundle's, as users have them: each is a file or two to load instead
 * of some forty modules, half of what a thread of a small export costs.
 */
import { existsSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import threads, { type WorkerOptions } from 'node:worker_threads';
import { BUNDLED_CLI_VARIABLE } from './tested-cli.js';

const SOURCE = join(import.meta.dirname, '..', '..', 'src');
const bundle = process.env[BUNDLED_CLI_VARIABLE];

/** The bundle's own program of that name, where the module is one of the source and there is one. */
function bundled(program: string | URL): string | URL {
  if (bundle === undefined || !(program instanceof URL) || program.protocol !== 'file:') return program;
  const path = fileURLToPath(program);
  const other = join(dirname(bundle), `${basename(path, '.js')}.cjs`);
  return path.startsWith(SOURCE) && existsSync(other) ? pathToFileURL(other) : program;
}

const { Worker } = threads;
threads.Worker = class extends Worker {
  constructor(program: string | URL, options?: WorkerOptions) {
    super(bundled(program), options);
  }
};
syncBuiltinESMExports();
