/** Exports that earlier runs finished: which of them a run that goes on counts as done, and which the manifest of the output directory binds. */
import { existsSync, lstatSync } from 'node:fs';
import { basename, join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { MANIFEST, readManifest, type ManifestHeader } from '../../package/manifest.js';
import { RUN_DIRECTORY } from '../../package/output-directory.js';
import { digestOf } from '../../package/part-file.js';
import { readRunManifest } from '../../package/run-manifest.js';
import { CATCH_UP } from '../../package/side-files.js';
import type { Target } from '../../plan/targets.js';
import { readTimes } from '../../report/realm-facts.js';
import { readReport } from '../../report/read-report.js';
import { isOfUser } from '../../verify/check-header.js';
import { VERSION } from '../../version.js';
import { readCatchUp } from '../base/catch-up-file.js';
import type { EarlierExport, ListedTarget, Outcome } from '../outcome.js';
import { choices, type TargetOptions } from './target-options.js';

/**
 * The target's export that an earlier run of the same command finished; undefined where what is there is anything else, which is refused as ever.
 *
 * @param database see databaseIdentity
 */
export async function finishedBefore(options: TargetOptions, target: Target, database: string): Promise<EarlierExport | undefined> {
  // Of an export with other ids nothing says which.
  if (!options.resume || options.remap !== undefined) return undefined;
  const found = await readFinished(join(options.output, target.directory));
  if (found === undefined) return undefined;
  const { header, earlier } = found;
  if (options.verify && !earlier.verified) return undefined;
  const asked = { realmlift: VERSION, realm: target.realm.stringId, realm_id: target.realm.id, mode: options.mode, options: JSON.parse(JSON.stringify(choices(options, target))) as unknown };
  const { realmlift, realm, realm_id, mode } = header;
  if (!isDeepStrictEqual({ realmlift, realm, realm_id, mode, options: header.options }, asked)) return undefined;
  return await isVouchedFor(earlier.directory, target, options.mode, database) ? earlier : undefined;
}

/** No checksum covers the head of a manifest: what was sealed with it says whether it is still the one of then. An export of a single user has no such thing, and does not say out of which database it is; its rows say whose it is. */
async function isVouchedFor(directory: string, { realm, userId }: Target, mode: TargetOptions['mode'], database: string): Promise<boolean> {
  if (mode !== 'user') {
    const sealed = existsSync(join(directory, CATCH_UP)) ? await readCatchUp(join(directory, CATCH_UP), () => undefined) : undefined;
    return sealed?.origin.run['database'] === database && sealed.manifest === (await digestOf(join(directory, MANIFEST))).sha256;
  }
  return userId !== undefined && isOfUser(directory, realm.id, userId);
}

/**
 * What the output directory holds after a run of several: what this run says of its targets, but where a target failed, and of others, the
 * exports that the manifest there binds and that are still as they were.
 *
 * @returns undefined when the run made nothing that is not listed there already
 */
export async function exportsThere(output: string, outcomes: readonly Outcome[]): Promise<Outcome<ListedTarget>[] | undefined> {
  const before = await listedBefore(output);
  if (outcomes.every((outcome) => 'error' in outcome || ('earlier' in outcome && before.has(outcome.target.name)))) return undefined;
  const here = outcomes.map((outcome) => ('error' in outcome ? before.get(outcome.target.name) : undefined) ?? outcome);
  for (const { target } of outcomes) before.delete(target.name);
  return [...here, ...before.values()];
}

async function listedBefore(output: string): Promise<Map<string, { readonly target: ListedTarget; readonly earlier: EarlierExport }>> {
  const listed = new Map<string, { readonly target: ListedTarget; readonly earlier: EarlierExport }>();
  for (const { target: name, directory, manifest_sha256: manifest } of readRunManifest(output)) {
    const found = directory === null || directory !== basename(directory) ? undefined : await readFinished(join(output, directory));
    if (directory === null || found === undefined || (await digestOf(join(output, directory, MANIFEST))).sha256 !== manifest) continue;
    const { header: { realm, options: { user } }, earlier } = found;
    listed.set(name, { target: { name, directory, realm: { stringId: realm }, userId: typeof user === 'number' ? user : undefined }, earlier });
  }
  return listed;
}

/** An export that is whole: each file that its manifest names is there, as long as it says. */
async function readFinished(directory: string): Promise<{ readonly header: ManifestHeader; readonly earlier: EarlierExport } | undefined> {
  const manifest = join(directory, MANIFEST);
  if (lstatSync(directory, { throwIfNoEntry: false })?.isDirectory() !== true || !existsSync(manifest) || existsSync(join(directory, RUN_DIRECTORY))) return undefined;
  try {
    const { header, files } = await readManifest(manifest);
    for await (const { path, size } of files) if (lstatSync(join(directory, path)).size !== size) return undefined;
    const { written: { rows, files: areas, warnings = [], remapped }, leftOut, state } = readReport(directory, undefined);
    if (state !== 'whole' || rows === undefined || areas === undefined || remapped !== undefined) return undefined;
    const { taken_at: takenAt, id } = header.snapshot;
    return { header, earlier: { directory, snapshot: { id, takenAt }, rows, files: areas, leftOut, warnings, verified: typeof readTimes(directory)?.verify_seconds === 'number' } };
  } catch {
    // Not to be read is not to be believed.
    return undefined;
  }
}
