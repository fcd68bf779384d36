/** The command line as users have it: a process of its own. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { CLI } from '../testbed/tested-cli.js';

/** Settings of the caller's own servers, which no test is to reach. */
const OTHER_SERVERS = /^(PG|S3_|AWS_|DATABASE_URL$|ZULIP_|TAP)/;

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Lines of stderr. */
  readonly errors: readonly string[];
}

export interface CommandSettings {
  /** Added to an environment without servers. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly uid?: number | undefined;
  readonly gid?: number | undefined;
  /** Gets the process while it runs. */
  readonly meanwhile?: (child: ChildProcess) => Promise<void>;
  /** Its output is read when this is over: until then what writes much of it waits. */
  readonly unread?: Promise<void>;
}

/** The environment of this process, without what would name other servers. */
export function withoutServers(): NodeJS.ProcessEnv {
  return { ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !OTHER_SERVERS.test(name))), AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true' };
}

/** Runs `realmlift ARGUMENTS…` to its end. */
export async function realmlift(parameters: readonly string[], { env = {}, cwd, uid, gid, meanwhile, unread }: CommandSettings = {}): Promise<Ended> {
  const child = spawn(process.execPath, [CLI, ...parameters], {
    env: { ...withoutServers(), ...env }, stdio: ['ignore', 'pipe', 'pipe'],
    ...(cwd === undefined ? {} : { cwd }), ...(uid === undefined ? {} : { uid }), ...(gid === undefined ? {} : { gid }),
  });
  const [stdout, stderr, [code, signal]] = await Promise.all([
    (unread ?? Promise.resolve()).then(() => text(child.stdout)), text(child.stderr), once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>, meanwhile?.(child),
  ]);
  return ended(code, signal, stdout, stderr);
}

export function ended(code: number | null, signal: NodeJS.Signals | null, stdout: string, stderr: string): Ended {
  return { code, signal, stdout, stderr, errors: stderr.split('\n').filter((line) => line !== '') };
}
