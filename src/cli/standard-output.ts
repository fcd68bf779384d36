/**
 * Exports to standard output. A tar leaves file by file while the export is made, so that no more of it lies on a disk than what
 * is under way; its manifest comes last. With --remap it leaves when the export is finished, and so does NDJSON, whose rows come
 * in an order of their own. All use a directory of their own under TMPDIR, which is removed however the run ends.
 */
import { pipeline } from 'node:stream/promises';
import { EXIT, RealmliftError } from '../errors.js';
import type { ExportOptions } from '../commands/export.js';
import { placedAt, type Outcome } from '../export/outcome.js';
import { TarArchive } from '../package/tarball.js';
import { streamError } from '../package/stream-error.js';
import { writeNdjson } from '../pipe/ndjson.js';
import { withTemporaryDirectory } from '../temporary-directory.js';

export type StreamFormat = 'directory' | 'ndjson';

/** Exports below `output`, or into `archive`. */
export type RunInto = (into: Pick<ExportOptions, 'output' | 'archive'>) => Promise<Outcome[]>;

/**
 * @param filesDirectory of NDJSON: where the files go that its lines name
 * @throws RealmliftError OUTPUT_CLOSED when the reader went away, OUTPUT_FULL, FORMAT_ONE_REALM; what an export failed with
 */
export async function exportToStandardOutput(format: StreamFormat, filesDirectory: string | undefined, run: RunInto): Promise<Outcome[]> {
  const outcomes = await withTemporaryDirectory('stream', (output) => (format === 'ndjson' ? asNdjson(output, filesDirectory, run) : asTar(output, run)));
  return outcomes.map((outcome) => ('error' in outcome ? outcome : placedAt(outcome, 'standard output', { directory: format === 'ndjson' ? '' : outcome.target.directory })));
}

async function asTar(output: string, run: RunInto): Promise<Outcome[]> {
  let gone: Error | undefined;
  const archive = new TarArchive((bytes) => pipeline(bytes, process.stdout).catch((error: unknown) => { throw gone = streamError(error) as Error; }));
  const outcomes = await run({ output, archive });
  if (gone !== undefined) throw gone;
  // What failed is not told as an end.
  if (outcomes.some((outcome) => 'error' in outcome)) archive.abandon();
  else await archive.end();
  return outcomes;
}

async function asNdjson(output: string, filesDirectory: string | undefined, run: RunInto): Promise<Outcome[]> {
  const outcomes = await run({ output, archive: undefined });
  const whole = outcomes.flatMap((outcome) => ('result' in outcome ? [outcome.result.directory] : []));
  if (whole.length < outcomes.length) return outcomes;
  const [only, ...more] = whole;
  if (only === undefined || more.length > 0) throw new RealmliftError('FORMAT_ONE_REALM', 'usage', 'NDJSON is a stream of one export', { hint: 'name one realm', exit: EXIT.usage });
  await writeNdjson(only, process.stdout, { filesDirectory });
  return outcomes;
}
