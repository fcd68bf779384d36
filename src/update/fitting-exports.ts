/** Which two exports an update is between: the one that was loaded, and a later one of the same. */
import { join } from 'node:path';
import { EXIT, RealmliftError } from '../errors.js';
import { openLoadable, type LoadableExport } from '../load/source/loadable-export.js';
import type { LoadedIdentity } from '../load/server/load-journal.js';
import { REPORT } from '../package/export-files.js';
import { MANIFEST, readManifest, type ManifestHeader } from '../package/manifest.js';
import { inodeOf } from '../package/take-over.js';

/** What both must be the same in. */
const SAME: readonly (readonly [keyof ManifestHeader, string])[] = [['realm', 'realm'], ['realm_id', 'realm'], ['mode', 'mode'], ['zulip_version', 'version of Zulip'], ['options', 'choices']];

/**
 * The export that was loaded.
 *
 * @param named by the user; undefined looks where the load found it
 * @throws RealmliftError UPDATE_BASE
 */
export async function openEarlier(named: string | undefined, { directory, exportDigest, subdomain }: LoadedIdentity): Promise<LoadableExport> {
  const from = named ?? directory;
  if (inodeOf(join(from, MANIFEST)) === undefined) throw base(`the export that ${subdomain} was loaded from is not in ${from}`, 'name its directory with --base');
  const earlier = await openLoadable(from);
  if (earlier.digest !== exportDigest) throw base(`${from} is not the export that ${subdomain} was loaded from, or was changed since`, 'name the directory of that export with --base');
  return earlier;
}

/** @throws RealmliftError NOT_AN_EXPORT, UPDATE_OF_ANOTHER and as {@link openLoadable} */
export async function openLater(directory: string, earlier: string): Promise<LoadableExport> {
  if (inodeOf(join(directory, MANIFEST)) === undefined) throw new RealmliftError('NOT_AN_EXPORT', 'usage', `${directory} has no manifest.json`, { hint: 'an update takes the directory of a finished export of realmlift', exit: EXIT.usage });
  const [was, is] = [(await readManifest(join(earlier, MANIFEST))).header, (await readManifest(join(directory, MANIFEST))).header];
  if (isRemapped(was) || isRemapped(is)) throw another(`${isRemapped(is) ? directory : earlier} has new ids for all rows, which are others each time`, 'a load gives new ids by itself: load and update with exports as they were made, or with realmlift remap --bots-only');
  const differs = SAME.find(([key]) => JSON.stringify(was[key]) !== JSON.stringify(is[key]));
  if (differs !== undefined) throw another(`${directory} is not of the same ${differs[1]} as the export that was loaded`);
  if (Date.parse(is.snapshot.taken_at) < Date.parse(was.snapshot.taken_at)) throw another(`${directory} is older than the export that was loaded`);
  return openLoadable(directory);
}

/** Did all rows get new ids? Then none tells which row it was. */
function isRemapped({ options }: ManifestHeader): boolean {
  const remapped = options['remapped'];
  return Array.isArray(remapped) && remapped.some((each: { readonly ids?: string }) => each.ids === 'all');
}

/** Is every file of the one a file of the other? But for what names the run. */
export async function holdSame(earlier: LoadableExport, later: LoadableExport): Promise<boolean> {
  const top = ({ top: files }: LoadableExport): string => JSON.stringify([...files].filter(([name]) => !OF_THE_RUN.has(name)).map(([name, { sha256 }]) => [name, sha256]).sort());
  const listed = (files: readonly { readonly path: string; readonly sha256: string }[]): string => JSON.stringify(files.map(({ path, sha256 }) => [path, sha256]));
  if (top(earlier) !== top(later) || listed(earlier.messages) !== listed(later.messages) || listed([...earlier.records.values()]) !== listed([...later.records.values()])) return false;
  const [before, after] = [earlier.areaFiles(), later.areaFiles()];
  for (;;) {
    const [was, is] = [await before.next(), await after.next()];
    if (was.done === true || is.done === true) return was.done === is.done;
    if (was.value.path !== is.value.path || was.value.sha256 !== is.value.sha256) return false;
  }
}

const OF_THE_RUN: ReadonlySet<string> = new Set([REPORT]);

function base(message: string, hint: string): RealmliftError {
  return new RealmliftError('UPDATE_BASE', 'load', message, { hint, exit: EXIT.nothingExported });
}

function another(message: string, hint = 'an update takes a later export of realmlift of the same realm, made with the same choices (export --base EARLIER makes one); load any other afresh'): RealmliftError {
  return new RealmliftError('UPDATE_OF_ANOTHER', 'load', message, { hint, exit: EXIT.nothingExported });
}
