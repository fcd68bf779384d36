/** Which base a target of a run has: the one that was named, or of an earlier run of many its own export there. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { EXIT, RealmliftError } from '../../errors.js';
import { MANIFEST } from '../../package/manifest.js';
import type { Target } from '../../plan/targets.js';
import type { BasePlace } from '../base/base.js';
import { originOf } from '../base/catch-up-file.js';
import type { OriginServer } from '../base/origin.js';
import { wroteNothing } from '../base/trust-base.js';

/** @throws RealmliftError BASE_UNFIT when a run of several targets is to catch up with a directory that has an export of none of them */
export function refuseBaseOfNone({ directory, shownAs, hasFiles }: BasePlace, targets: readonly Target[]): void {
  if (targets.length < 2 || targets.some((target) => existsSync(join(directory, target.directory, MANIFEST)))) return;
  if (!hasFiles) {
    throw new RealmliftError('BASE_UNFIT', 'package', `${shownAs} is the export of one realm, and ${targets.length} are to be exported`, {
      hint: 'export that realm alone; or fetch what an earlier run of many realms stored into a directory, and name that', exit: EXIT.nothingExported,
    });
  }
  throw new RealmliftError('BASE_UNFIT', 'package', `${shownAs} has no directory with an export of any of these realms`, {
    hint: 'name the directory that an earlier run of many realms wrote to; or export one realm with the directory of its own export', exit: EXIT.nothingExported,
  });
}

/** Whether it is to be expected that nothing was written on the server since the base of this realm: whoever relies on it asks again. */
export async function expectsNothingNew({ directory }: BasePlace, realm: string, now: OriginServer): Promise<boolean> {
  const then = await originOf(join(directory, realm)) ?? await originOf(directory);
  return then !== undefined && wroteNothing(then.server, now);
}

/** @param oneNamed whether the run names one realm alone, so that the base may be that realm's own export @param warn told of a target that was not there then, and has none */
export function baseOfTarget(base: BasePlace, { name, directory }: Target, oneNamed: boolean, warn: (text: string) => void): BasePlace | undefined {
  const own = join(base.directory, directory);
  if (existsSync(join(own, MANIFEST))) return { ...base, directory: own, shownAs: join(base.shownAs, directory) };
  if (oneNamed) return base;
  warn(`${own} is no export: ${name} is exported whole`);
  return undefined;
}
