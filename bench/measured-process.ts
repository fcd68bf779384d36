/** Runs a command and measures it as a whole: seconds, and the memory of it and all its descendants together. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, readdirSync } from 'node:fs';
import { text } from 'node:stream/consumers';

/** Milliseconds between two looks at /proc. */
const INTERVAL = 25;

export interface Measured {
  /** From before the start to after the end. */
  readonly seconds: number;
  /** Processor seconds of the main process, user and system. */
  readonly processorSeconds: number;
  /** The same of the process and all its descendants. */
  readonly allProcessorSeconds: number;
  /**
   * MiB. The highest sum of the processes' own peaks (VmHWM), which the kernel keeps: a short peak between two looks is
   * counted too. Memory shared between processes counts for each; 0 where there is no /proc.
   */
  readonly peak: number;
  /** The largest number of processes seen. */
  readonly processes: number;
  /** What it wrote to standard error. */
  readonly told: string;
}

/** The caller's, but for certificates of servers that no bench asks, which Node reads before all else. */
function callersEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => name !== 'NODE_EXTRA_CA_CERTS'));
}

/** @throws Error with what the command wrote to stderr when it fails */
export async function measure(command: readonly [string, ...string[]], env: Readonly<Record<string, string>>): Promise<Measured> {
  const started = process.hrtime.bigint();
  const child = spawn(command[0], command.slice(1), { env: { ...callersEnvironment(), ...env }, stdio: ['ignore', 'ignore', 'pipe'] });
  const stderr = text(child.stderr);
  let peak = 0;
  let processes = 0;
  let processorSeconds = 0;
  let allProcessorSeconds = 0;
  const look = (): void => {
    if (child.pid === undefined) return;
    const pids = tree(child.pid);
    processes = Math.max(processes, pids.length);
    peak = Math.max(peak, pids.reduce((sum, pid) => sum + highWaterMark(pid), 0));
    const times = pids.map(processorTimes);
    processorSeconds = Math.max(processorSeconds, times[0]?.own ?? 0);
    allProcessorSeconds = Math.max(allProcessorSeconds, times.reduce((sum, { own, endedChildren }) => sum + own + endedChildren, 0));
  };
  const looking = setInterval(look, INTERVAL);
  const [code] = (await once(child, 'exit')) as [number | null];
  const seconds = Number(process.hrtime.bigint() - started) / 1e9;
  clearInterval(looking);
  if (code !== 0) throw new Error(`${command.join(' ')} ended with ${code}: ${await stderr}`);
  return { told: await stderr, seconds, processorSeconds, allProcessorSeconds, peak: peak / 1024, processes };
}

function tree(root: number): number[] {
  const found = [root];
  for (const pid of found) {
    for (const thread of list(`/proc/${pid}/task`)) {
      for (const childPid of read(`/proc/${pid}/task/${thread}/children`).split(' ')) if (childPid !== '') found.push(Number(childPid));
    }
  }
  return found;
}

/** KiB. */
function highWaterMark(pid: number): number {
  return Number(/^VmHWM:\s*(\d+)/m.exec(read(`/proc/${pid}/status`))?.[1] ?? 0);
}

/** Seconds; /proc counts in hundredths (USER_HZ). Fields 14 to 17, counted behind the command's name in parentheses. */
export function processorTimes(pid: number): { own: number; endedChildren: number } {
  const fields = read(`/proc/${pid}/stat`).split(') ')[1]?.split(' ') ?? [];
  const [user = 0, system = 0, childrensUser = 0, childrensSystem = 0] = fields.slice(11, 15).map((field) => Number(field) / 100);
  return { own: user + system, endedChildren: childrensUser + childrensSystem };
}

/** Empty when the process has ended meanwhile. */
function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

function list(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}
