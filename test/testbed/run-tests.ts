/**
 * `make test`: lint, and every compiled test file, three at a time, each in a Node process of its own; one line per file,
 * failures with their diagnostics, and at the end `N passed, N failed`. Exits with 1 when anything failed.
 *
 * All files share one PostgreSQL server. Files named *.long.test.ts run only, and then alone, with LONG_TESTS=1.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { join, relative } from 'node:path';
import { text } from 'node:stream/consumers';
import { withPostgres } from '../../src/demo/postgres-server.js';
import { memoryDirectory } from './memory-directory.js';
import { SHORT_RUN } from './node-flags.js';
import { runTestFile } from './run-test-file.js';
import { TapOutcome } from './tap-outcome.js';
import { SHARED_SERVER_VARIABLE } from './test-database.js';
import { BUNDLED_CLI_VARIABLE } from './tested-cli.js';

const ROOT = join(import.meta.dirname, '..', '..', '..');
/** One more than the processors of the smallest machine: tests wait for disks and servers now and then. */
const PARALLEL = 3;

interface Task {
  readonly name: string;
  run(): Promise<TapOutcome>;
}

/** What takes longest goes first, lest one of them run alone in the end while a processor has nothing to do. */
const LONGEST = [
  'split/split', 'versions/servers', 'load/update', 'export/base-taken-over', 'export/base-cases', 'queue/bucket', 'queue/backup', 'split/unfinished', 'export/base',
  'queue/joining', 'queue/lost-workers', 'export/set-faults', 'export/set', 'load/update-rare', 'export/canaries', 'cli/bad-input',
  'export/resume-after-changes', 'split/files', 'load/refused', 'load/update-cases', 'load/load', 'load/buckets', 'export/faults', 'versions/schema-alterations',
  'export/every-reference', 'sample/with-sample-server', 'backup/uploads', 'export/table-changes', 'cli/upload', 'load/unfinished', 'versions/releases', 'load/update-versions',
  'export/identical', 'backup/interruption', 'export/resume-refused', 'cli/packed', 'export/resume', 'report/other-pages', 'cli/terminal', 'isolation/isolation',
  'versions/old-releases', 'load/used', 'split/other-releases', 'isolation/whole-export', 'cli/install', 'export/hot-standby', 'export/unusual-realms', 'verify/import-check',
  'load/hanging', 'cli/stopped', 'backup/schema/pg-dump', 'plan/plan-report', 'testbed/run-test-file', 'snapshot/broken-connection',
].map((name) => join('test', `${name}.test.ts`));

/** Compiled test files whose source exists: what a removed or renamed source leaves in dist is not run. */
function testFiles(): string[] {
  const wanted = (process.env.LONG_TESTS ?? '') === '' ? /(?<!\.long)\.test\.ts$/ : /\.long\.test\.ts$/;
  const entries = readdirSync(join(ROOT, 'test'), { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile() && wanted.test(entry.name))
    .map((entry) => relative(ROOT, join(entry.parentPath, entry.name)))
    .sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
}

function rank(file: string): number {
  const place = LONGEST.indexOf(file);
  return place < 0 ? LONGEST.length : place;
}

async function lint(): Promise<TapOutcome> {
  const outcome = new TapOutcome();
  const eslint = spawn(process.execPath, [...SHORT_RUN, '--max-semi-space-size=64', join(ROOT, 'node_modules', 'eslint', 'bin', 'eslint.js'), '--max-warnings', '0', '.'], {
    cwd: ROOT, stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [output, [code]] = await Promise.all([text(eslint.stdout), once(eslint, 'exit') as Promise<[number | null]>]);
  outcome.end();
  if (code === 0) outcome.passed = 1;
  else outcome.fail(['eslint'], output.trim());
  return outcome;
}

function print(name: string, outcome: TapOutcome, seconds: number): void {
  const count = outcome.failures.length === 0 ? `${outcome.passed}` : `${outcome.passed} passed, ${outcome.failures.length} failed`;
  console.log(`${outcome.failures.length === 0 ? 'ok  ' : 'FAIL'} ${name} (${count}; ${seconds.toFixed(1)} s)`);
  for (const { path, detail } of outcome.failures) {
    console.log(`  not ok: ${path.join(' > ')}\n${detail.replace(/^/gm, '    ')}`);
  }
}

/** Settings of the caller's own servers do not reach the tests, nor certificates for them, which each of a thousand processes would read at its start. */
function testEnvironment(serverUrl: string, memory: string | undefined): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(([name]) => !/^(PG|S3_|AWS_|DATABASE_URL|ZULIP_|NODE_EXTRA_CA_CERTS|MAKE|MFLAGS)/.test(name));
  return {
    ...Object.fromEntries(inherited), [SHARED_SERVER_VARIABLE]: serverUrl, [BUNDLED_CLI_VARIABLE]: join(ROOT, 'dist', 'test-bundle', 'realmlift.cjs'), AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true',
    // Where tap has the directories of tests.
    ...(memory === undefined ? {} : { TAP_CWD: memory }),
  };
}

// A run that ends before its tests has failed.
let [passed, failed] = [0, 1];
process.once('exit', () => console.log(`${passed} passed, ${failed} failed`));

// Begins before what all tests need is there.
const linted = lint();
execFileSync(process.execPath, [...SHORT_RUN, join(ROOT, 'bundle', 'write-test-bundle.js')], { stdio: 'inherit' });
const memory = memoryDirectory();
// Of this process too: the server's data lie there.
if (memory !== undefined) process.env.TMPDIR = memory;

[passed, failed] = await withPostgres(async (server) => {
  const environment = testEnvironment(server.url('postgres'), memory);
  const files = testFiles().map((source): Task => ({
    name: source,
    run: () => runTestFile(join(ROOT, 'dist', source.replace(/ts$/, 'js')), { ...environment }),
  }));
  const tasks: Task[] = [{ name: 'lint', run: () => linted }, ...files];
  const totals: [number, number] = [0, 0];
  const work = async (): Promise<void> => {
    for (let task = tasks.shift(); task !== undefined; task = tasks.shift()) {
      const start = performance.now();
      const outcome = await task.run();
      print(task.name, outcome, (performance.now() - start) / 1000);
      totals[0] += outcome.passed;
      totals[1] += outcome.failures.length;
    }
  };
  await Promise.all(Array.from({ length: PARALLEL }, work));
  return totals;
});
process.exitCode = failed === 0 ? 0 : 1;
