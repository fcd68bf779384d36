/** How the targets of a run are exported, one like the other. */
import type { OrphanChoice } from '../../files/pull-files.js';
import { WITHOUT_FILES } from '../../package/manifest.js';
import type { TarArchive } from '../../package/tarball.js';
import type { Decisions } from '../../plan/views/compile-view.js';
import type { Mode } from '../../plan/views/condition.js';
import type { Target } from '../../plan/targets.js';
import type { PreparedRemap } from '../../remap/remap-request.js';
import type { Place } from '../outcome.js';
import type { BasePlace } from '../base/base.js';
import type { ExportEvent } from '../events.js';

export interface TargetOptions {
  readonly mode: Mode;
  /** Directory under which one directory a target is made. */
  readonly output: string;
  /** Takes each file, under the target's directory, as soon as it is finished, instead of the output; such an export is not verified. */
  readonly archive?: TarArchive | undefined;
  /** Worker threads, each with a session of its own; with a queue, of what this machine does itself. */
  readonly jobs: number;
  /** Go on with unfinished exports, in their snapshot if another session still holds it. */
  readonly resume: boolean;
  readonly force: boolean;
  readonly decisions: Decisions;
  /** With approved users: only files that they own travel. */
  readonly approvedFilesOnly: boolean;
  readonly consentMessage: number | undefined;
  /** Overrides what the database says of the server's version. */
  readonly zulipVersion: string | undefined;
  /** Default `report`; `copy` is for full exports alone. */
  readonly orphans?: OrphanChoice | undefined;
  readonly avatars: boolean;
  /** Rows alone travel: the store is one of which nothing is taken. */
  readonly withoutFiles?: boolean | undefined;
  /** Makes the random parts repeatable. */
  readonly randomSeed: string | undefined;
  /** An earlier export of the same realm, or of many, whose files are taken over as far as they still hold. */
  readonly base?: BasePlace | undefined;
  /** Publish the export with the ids of another server. */
  readonly remap?: PreparedRemap | undefined;
  /** Read the export again and check it before it is published. */
  readonly verify: boolean;
  readonly onEvent: (event: ExportEvent) => void;
  /** Where the export of that directory will be for who reads its page, if not there. */
  readonly placeOf?: ((directory: string) => Place) | undefined;
}

/** Whether of the target's files only those of approved users travel. */
export function approvedFilesOnly({ approvedFilesOnly: only }: TargetOptions, { approved }: Pick<Target, 'approved'>): boolean {
  return approved !== undefined && only;
}

/** The choices that shape an export, as the command line names them; the seed is none of anybody's business. */
export function choices(options: TargetOptions, target: Pick<Target, 'userId' | 'approved'>): Record<string, unknown> {
  return {
    mode: options.mode,
    ...(target.userId === undefined ? {} : { user: target.userId }),
    ...(target.approved === undefined ? {} : { approved_users: target.approved, files: options.approvedFilesOnly ? 'approved' : 'all' }),
    ...(options.consentMessage === undefined ? {} : { consent_message: options.consentMessage }),
    ...(options.zulipVersion === undefined ? {} : { zulip_version: options.zulipVersion }),
    strip: [...options.decisions.strip], keep: [...options.decisions.keep], avatars: options.avatars,
    ...(options.withoutFiles === true ? { files: WITHOUT_FILES } : options.orphans === undefined || options.orphans === 'report' ? {} : { orphans: options.orphans }),
  };
}
