/**
 * `realmlift merge`, as a table of contents: inputs -> tables -> messages -> files -> statistics, report, manifest -> verify ->
 * publish. Nothing is at the output path before all of it is.
 */
import { basename, dirname, join, resolve } from 'node:path';
import { Differences, type Disagreement } from '../merge/differences.js';
import { mergeFiles, type RecordCounts } from '../merge/merge-files.js';
import { severalUsers, withInputs, type MergeInput } from '../merge/merge-input.js';
import { mergeMessages } from '../merge/merge-messages.js';
import { mergeTables, type MergeContext } from '../merge/merge-tables.js';
import { writePackage } from '../merge/write-package.js';
import { isNarrated, tellAhead, tellPhase, tellProgress, tellWarning, VERIFICATION } from '../narration.js';
import { rowsByTable, type JournalPart } from '../package/journal.js';
import { isWithoutFiles, type ManifestHeader } from '../package/manifest.js';
import { RUN_DIRECTORY, takeOutputDirectory } from '../package/output-directory.js';
import { areaFileCount, tableFiles } from '../pipe/finished-export.js';
import { finishReport } from '../report/finish-report.js';
import { requireGood } from '../verify/require-good.js';

export interface MergeOptions {
  /** The directory to make. */
  readonly output: string;
  /** What happens where exports differ: the later snapshot wins, or the merge stops. */
  readonly onConflict: 'later' | 'fail';
  /** Read the result again and check it before it is published. */
  readonly verify: boolean;
  /**
   * Writes the exports anew below a directory, with ids that no two of them share, and says where; then they may be of different
   * realms. Undefined unites rows by their ids.
   */
  readonly disjoin?: ((inputs: readonly MergeInput[], directory: string) => Promise<string[]>) | undefined;
}

export interface MergeResult {
  readonly directory: string;
  readonly header: ManifestHeader;
  /** Rows by table. */
  readonly rows: ReadonlyMap<string, number>;
  /** Records by area. */
  readonly files: RecordCounts;
  readonly differences: ReadonlyMap<string, Disagreement>;
}

/**
 * Joins exports into one: of one realm of one server, or of several whose ids are first made disjoint.
 *
 * @param directories finished exports, in any order
 * @throws RealmliftError MERGE_* for exports that cannot be joined, EXPORT_CHANGED for one that is not what its manifest says,
 *   VERIFY_FAILED; then nothing is at the output path
 */
export async function mergeExports(directories: readonly string[], options: MergeOptions): Promise<MergeResult> {
  const { disjoin, onConflict } = options;
  const path = resolve(options.output);
  return withInputs(directories, disjoin !== undefined, async (inputs) => {
    const output = takeOutputDirectory(dirname(path), basename(path), 'remove');
    try {
      const joined = (of: readonly MergeInput[]): Promise<Omit<MergeResult, 'directory'>> => mergeInto(output.partial, of, onConflict === 'fail');
      const result = disjoin === undefined ? await joined(inputs) : await withInputs(await disjoin(inputs, join(output.run, 'remapped')), true, joined);
      // What verify knows of single users' exports is that they have one user.
      const verified = options.verify && !severalUsers(inputs) ? await requireGood(output.partial, {}, 'nothing was published; --no-verify publishes all the same') : undefined;
      await finishReport(output.partial, { verified, place: { directory: output.final } });
      output.publish();
      return { ...result, directory: output.final };
    } catch (error) {
      output.discard();
      throw error;
    }
  });
}

/** Of exports of one realm most messages and files are the same: at least as many as the largest has. */
function messageFiles(inputs: readonly MergeInput[]): number {
  return Math.max(...inputs.map(({ source }) => source.messages.length));
}

function tellMergeAhead(inputs: readonly MergeInput[]): void {
  const [messages, tables] = [inputs.flatMap(({ source }) => [...source.messages]), inputs.flatMap(({ source }) => tableFiles(source))].map((files) => files.reduce((sum, { size }) => sum + size, 0)) as [number, number];
  tellAhead([{ name: 'tables', weight: tables }, { name: 'messages', weight: messages }, { name: 'uploaded files', weight: tables }, { name: VERIFICATION, weight: messages / 3 }]);
}

async function mergeInto(directory: string, inputs: readonly MergeInput[], fail: boolean): Promise<Omit<MergeResult, 'directory'>> {
  const bare = inputs.filter(({ source }) => isWithoutFiles(source.header)).length;
  if (bare > 0) tellWarning(`${bare} of the ${inputs.length} exports were made with --no-files: what only they know of has no files`);
  const list = join(directory, RUN_DIRECTORY, 'differences.json');
  const differences = new Differences(list, fail);
  try {
    const context: MergeContext = { inputs, directory, differences, formerAccounts: new Set(), stayed: [] };
    const parts = new Map<string, JournalPart>();
    tellMergeAhead(inputs);
    tellPhase('tables', 'steps');
    for (const part of await mergeTables(context)) parts.set(part.path, part);
    tellPhase('messages', 'files', messageFiles(inputs));
    await mergeMessages(context, (part) => {
      parts.set(part.path, part);
      tellProgress(1);
    });
    tellPhase('uploaded files', 'files', isNarrated() ? Math.max(...await Promise.all(inputs.map(({ source }) => areaFileCount(source)))) : undefined);
    const files: RecordCounts = new Map();
    const header = await writePackage(context, parts, mergeFiles(context, files), files);
    return { header, rows: rowsByTable(parts.values()), files, differences: differences.counts };
  } catch (error) {
    differences.abandon();
    throw error;
  }
}
