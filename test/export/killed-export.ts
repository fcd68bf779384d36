/** Exports that are killed when their journal has a given length. */
import { cpSync, existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import { journalLines, runExport, startExport, untilJournal } from './export-process.js';

/**
 * Starts an export and kills it when its journal has so many lines; the number that it then has. Where the machine was busy, and it
 * was at its end before it was killed, that is done over again.
 */
export async function killedAt(url: string, output: string, lines: number, ...words: string[]): Promise<number> {
  const before = `${output}-before`;
  const kept = existsSync(output);
  if (kept) cpSync(output, before, { recursive: true, preserveTimestamps: true });
  try {
    for (;;) {
      const running = await startExport(url, output, ...words);
      await untilJournal(running, output, lines);
      running.process.kill('SIGKILL');
      const { code, stderr } = await running.ended;
      if (code !== null && code !== 0) throw new Error(`it ended by itself: ${stderr}`);
      const written = journalLines(output).length;
      if (code === null && written > 0) return written;
      rmSync(output, { recursive: true, force: true });
      if (kept) cpSync(before, output, { recursive: true, preserveTimestamps: true });
    }
  } finally {
    rmSync(before, { recursive: true, force: true });
  }
}

/** Runs an export that must succeed; the directory of acme. */
export async function exported(t: Test, url: string, output: string, ...words: string[]): Promise<string> {
  const { code, stderr } = await runExport(url, output, ...words);
  t.equal(code, 0, code === 0 ? 'exported' : stderr);
  return join(output, 'acme');
}
