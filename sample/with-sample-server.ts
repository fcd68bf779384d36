/**
 * Runs a command with the built-in sample server: a real PostgreSQL with the sample realms and an S3 server with their
 * files, both on free ports of the loopback interface, gone when the command ends.
 *
 *     node dist/sample/with-sample-server.js COMMAND [ARGUMENT…]
 *     node dist/sample/with-sample-server.js --shell
 *
 * The command finds them by DATABASE_URL, S3_*, AWS_* and ZULIP_AVATAR_SALT; settings of that kind in the environment do
 * not reach it. The exit code is the command's own, that of a shell 0. Words that realmlift will refuse are told before anything starts.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:os';
import { join } from 'node:path';
import { faultOf } from '../src/cli/usage-error.js';
import { withPostgres } from '../src/demo/postgres-server.js';
import { withS3 } from '../test/testbed/s3-server.js';
import { AVATAR_SALT, testData } from '../test/testbed/test-data.js';
import { createDatabaseFromDump } from '../test/testbed/test-database.js';

const DATASET = 'zulip-11/s3';
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
const BIN = join(import.meta.dirname, '..', '..', 'node_modules', '.bin');
const OTHER_SERVERS = /^(PG|S3_|AWS_|DATABASE_URL$|ZULIP_AVATAR_SALT$)/;

let child: ChildProcess | undefined;

/** Exit code of a process that a signal ended, as shells report it. */
function codeOfSignal(signal: NodeJS.Signals): number {
  return 128 + constants.signals[signal];
}

async function withSampleServer(environment: NodeJS.ProcessEnv, work: (environment: NodeJS.ProcessEnv) => Promise<number>): Promise<number> {
  return withPostgres((postgres) => withS3(async (s3) => {
    const url = await createDatabaseFromDump(postgres.url('postgres'), testData(DATASET, 'database.sql.gz'), 'zulip');
    return work({ ...environment, DATABASE_URL: url, ...s3.environment, ZULIP_AVATAR_SALT: AVATAR_SALT[DATASET] });
  }));
}

async function run(command: string, parameters: readonly string[], environment: NodeJS.ProcessEnv): Promise<number> {
  // In a session of its own: a ^C of the terminal reaches it once, through this process, and not a second time directly.
  child = spawn(command, parameters, { detached: true, stdio: 'inherit', env: environment });
  const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
  return signal === null ? (code ?? 1) : codeOfSignal(signal);
}

/** A shell gets the terminal's own signals: those that reach this process are its too. */
async function runShell(environment: NodeJS.ProcessEnv): Promise<number> {
  console.error(`
A shell with the sample server, on this machine alone, which ends with the shell: change what you like.
  DATABASE_URL  ${environment.DATABASE_URL ?? ''}
  S3_ENDPOINT   ${environment.S3_ENDPOINT ?? ''} (with S3_UPLOADS_BUCKET, S3_AVATARS_BUCKET and keys)
Try: realmlift plan --realm acme
     realmlift export --realm acme --output out
     psql "$DATABASE_URL" -c 'SELECT id, string_id, name FROM zulip.zerver_realm'
exit, or ^D, ends it.
`);
  child = spawn(environment.SHELL ?? '/bin/sh', { stdio: 'inherit', env: { ...environment, PATH: `${BIN}:${environment.PATH ?? ''}` } });
  await once(child, 'exit');
  return 0;
}

/** What would end the command at once, and what no server has to start for. */
async function refuse(command: string | undefined, parameters: readonly string[]): Promise<string | undefined> {
  if (command === undefined) return 'usage: with-sample-server COMMAND [ARGUMENT…], or --shell';
  const [script, ...words] = parameters;
  return script?.endsWith('dist/bundle/realmlift.cjs') === true ? (await faultOf(words))?.line : undefined;
}

const [, , command = '--shell', ...parameters] = process.argv;
const refused = await refuse(process.argv[2], parameters);
if (refused !== undefined) {
  console.error(refused);
  process.exit(2);
}
// The database driver and the S3 client of this process read them too.
for (const name of Object.keys(process.env)) if (OTHER_SERVERS.test(name)) delete process.env[name];
// Its advice on Node versions concerns the S3 client's own users.
process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = 'true';
for (const signal of SIGNALS) {
  process.on(signal, () => {
    if (child === undefined) process.exit(codeOfSignal(signal));
    // ^C in a shell is for what runs there.
    if (command !== '--shell' || signal !== 'SIGINT') child.kill(signal === 'SIGTERM' && command === '--shell' ? 'SIGHUP' : signal);
  });
}
console.error('Using the built-in sample server (realms acme, globex, tiny, closed); set DATABASE_URL for your own.');
try {
  process.exitCode = await withSampleServer({ ...process.env }, (environment) => (command === '--shell' ? runShell(environment) : run(command, parameters, environment)));
} catch (error) {
  console.error(`sample server: ${(error as Error).message}`);
  process.exitCode = 1;
}
