/** Which process something belongs to, written down so that a later process can tell whether it still runs. */
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';

export interface Owner {
  readonly pid: number;
  readonly host: string;
  /** When the process started, where the system tells: another process may have got its number meanwhile. */
  readonly started?: string | undefined;
}

export function thisProcess(): Owner {
  return { pid: process.pid, host: hostname(), started: startOf(process.pid) };
}

/** What a file says that holds an owner as JSON; undefined when it is not there, or was cut by a crash. */
export function readOwner(path: string): Owner | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Owner;
  } catch {
    return undefined;
  }
}

/** Of an owner on another machine nobody knows: it counts as one that runs. */
export function mayRun({ pid, host, started }: Owner): boolean {
  if (host !== hostname()) return true;
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  const now = startOf(pid);
  return started === undefined || now === undefined || started === now;
}

/** Boot and clock ticks since it; undefined where there is no /proc, or no such process. Field 22 of proc_pid_stat(5). */
function startOf(pid: number): string | undefined {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ');
    return `${boot}/${fields?.[19] ?? ''}`;
  } catch {
    return undefined;
  }
}
