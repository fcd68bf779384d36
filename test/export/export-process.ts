/** `realmlift export` as a process of its own, which a test may kill at any moment, or to its end in this one. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync, readFileSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { AVATAR_SALT } from '../testbed/test-data.js';
import { uploadsDirectory } from '../testbed/expected-export.js';
import { CLI } from '../testbed/tested-cli.js';
import { realmliftHere } from '../cli/command-here.js';

/** Milliseconds between two looks at a journal: a run writes a line every few. */
const LOOK = 1;

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stderr: string;
}

export interface ExportProcess {
  readonly process: ChildProcess;
  readonly ended: Promise<Ended>;
}

/** Starts an export of acme's full data with two workers, not verified, unless the words say otherwise; `--verify` is one of them here. */
export async function startExport(url: string, output: string, ...words: string[]): Promise<ExportProcess> {
  return started(spawn(process.execPath, [CLI, ...(await command(output, words))], { env: { ...process.env, ...settings(url) }, stdio: ['ignore', 'ignore', 'pipe'] }));
}

/** Runs an export in a shell after `limit`, such as `ulimit -f 100`. */
export async function runLimited(limit: string, url: string, output: string, ...words: string[]): Promise<Ended> {
  return started(spawn('/bin/sh', ['-c', `${limit}; exec "$@"`, 'sh', process.execPath, CLI, ...(await command(output, words))], { env: { ...process.env, ...settings(url) }, stdio: ['ignore', 'ignore', 'pipe'] })).ended;
}

async function command(output: string, words: readonly string[]): Promise<string[]> {
  const realm = words.includes('--realm') || words.includes('--all-realms') ? [] : ['--realm', 'acme'];
  const uploads = await uploadsDirectory('zulip-11/local');
  return ['export', ...realm, '--output', output, '--uploads-dir', uploads, '--jobs', '2', '--random-seed', 'test', ...(words.includes('--verify') ? [] : ['--no-verify']),
    ...(words.includes('--json') ? [] : ['--quiet']), ...words.filter((word) => word !== '--verify')];
}

function settings(url: string): Record<string, string> {
  return { DATABASE_URL: url, ZULIP_AVATAR_SALT: AVATAR_SALT['zulip-11/local'] };
}

function started(child: ChildProcess): ExportProcess {
  let stderr = '';
  child.stderr?.on('data', (chunk: Buffer) => { stderr += chunk.toString(); });
  const ended = once(child, 'close').then(([code, signal]) => ({ code: code as number | null, signal: signal as NodeJS.Signals | null, stderr }));
  return { process: child, ended };
}

/** Runs an export to its end, in this process where others do not work for it. */
export async function runExport(url: string, output: string, ...words: string[]): Promise<Ended> {
  return words.includes('--queue') ? (await startExport(url, output, ...words)).ended : realmliftHere(await command(output, words), { ...process.env as Record<string, string>, ...settings(url) });
}

/** Lines of the journal of an unfinished export. */
export function journalLines(output: string, name = 'acme'): string[] {
  const path = join(output, `${name}.partial`, '.realmlift', 'journal');
  return existsSync(path) ? readFileSync(path, 'utf8').split('\n').slice(0, -1) : [];
}

/** Waits until the journal has so many lines, or the process has ended; whether it was still running then. */
export async function untilJournal(running: ExportProcess, output: string, lines: number, name = 'acme'): Promise<boolean> {
  const path = join(output, `${name}.partial`, '.realmlift', 'journal');
  return until(running, () => countLines(path) >= lines);
}

/** The same until it tells of a part. */
export async function untilPart(running: ExportProcess, output: string, path: string, name = 'acme'): Promise<boolean> {
  return until(running, () => journalLines(output, name).some((line) => line.includes(path)));
}

async function until({ process: child }: ExportProcess, isSo: () => boolean): Promise<boolean> {
  while (child.exitCode === null && child.signalCode === null) {
    if (isSo()) return true;
    await sleep(LOOK);
  }
  return false;
}

function countLines(path: string): number {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch {
    return 0;
  }
  try {
    const buffer = Buffer.alloc(1 << 16);
    let count = 0;
    for (let read = readSync(file, buffer); read > 0; read = readSync(file, buffer)) for (let at = 0; at < read; at++) if (buffer[at] === 0x0a) count++;
    return count;
  } finally {
    closeSync(file);
  }
}
