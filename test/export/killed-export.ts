/** Exports that are killed when their journal has a given length. */
import { join } from 'node:path';
import type { Test } from 'tap';
import { journalLines, runExport, startExport, untilJournal } from './export-process.js';

/** Starts an export and kills it when its journal has so many lines; the number that it then has. */
export async function killedAt(url: string, output: string, lines: number, ...words: string[]): Promise<number> {
  const running = await startExport(url, output, ...words);
  await untilJournal(running, output, lines);
  running.process.kill('SIGKILL');
  await running.ended;
  return journalLines(output).length;
}

/** Runs an export that must succeed; the directory of acme. */
export async function exported(t: Test, url: string, output: string, ...words: string[]): Promise<string> {
  const { code, stderr } = await runExport(url, output, ...words);
  t.equal(code, 0, code === 0 ? 'exported' : stderr);
  return join(output, 'acme');
}
