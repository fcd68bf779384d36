/**
 * Exports to standard output: as tar, or as NDJSON for scripts. The export is made whole and checked in a directory of its own
 * under TMPDIR first, so that a reader never gets one that fails half-way; it is removed however the run ends.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EXIT, RealmliftError } from '../errors.js';
import type { Outcome } from '../export.js';
import { writeTar } from '../package/tarball.js';
import { writeNdjson } from '../pipe/ndjson.js';

export type StreamFormat = 'directory' | 'ndjson';

/**
 * @param run exports below the directory that it is given
 * @param filesDirectory of NDJSON: where the files go that its lines name
 * @throws RealmliftError OUTPUT_CLOSED when the reader went away, FORMAT_ONE_REALM; what an export failed with
 */
export async function exportToStandardOutput(format: StreamFormat, filesDirectory: string | undefined, run: (directory: string) => Promise<Outcome[]>): Promise<Outcome[]> {
  const directory = await mkdtemp(join(tmpdir(), 'realmlift-'));
  try {
    const outcomes = await run(directory);
    const whole = outcomes.flatMap((outcome) => ('result' in outcome ? [outcome.result.directory] : []));
    if (whole.length < outcomes.length) return outcomes;
    if (format === 'ndjson') {
      const [only, ...more] = whole;
      if (only === undefined || more.length > 0) throw new RealmliftError('FORMAT_ONE_REALM', 'usage', 'NDJSON is a stream of one export', { hint: 'name one realm', exit: EXIT.usage });
      await quiet(writeNdjson(only, process.stdout, { filesDirectory }));
    } else await quiet(writeTar(whole, process.stdout));
    return outcomes.map((outcome) => ('result' in outcome ? { ...outcome, result: { ...outcome.result, directory: 'standard output' } } : outcome));
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** A reader that goes away is no fault of ours: the run ends without a word, and not with 0. */
async function quiet(writing: Promise<unknown>): Promise<void> {
  try {
    await writing;
  } catch (error) {
    const { code } = error as { code?: string };
    if (code !== 'EPIPE' && code !== 'ERR_STREAM_PREMATURE_CLOSE' && code !== 'ECONNRESET') throw error;
    throw new RealmliftError('OUTPUT_CLOSED', 'package', 'the reader of standard output went away', { cause: error });
  }
}
