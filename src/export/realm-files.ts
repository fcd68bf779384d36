/** The files of a realm's export: what the rows want is pulled and journalled, and what becomes of the rest is told. */
import { join } from 'node:path';
import type { EarlierFile, FileEvent, FilesResult, Orphan } from '../files/file-events.js';
import { pullFiles, type FilesOfBase } from '../files/pull-files.js';
import type { WantedFiles } from '../files/wanted-files.js';
import { takeOver } from '../package/take-over.js';
import type { Base } from './base/base.js';
import { withOrphanList } from './orphan-list.js';
import type { RealmRun, RunContext } from './realm-run.js';
import { wantedFiles } from './wanted/wanted.js';
import type { WantedRows } from './wanted/wanted-rows.js';
import { spoolWanted } from './wanted/wanted-spool.js';

export interface Told {
  /** Each event. */
  event(event: FileEvent): void;
  /** What the report must name, but for orphans, which have a list of their own. */
  loss(event: FileEvent): void;
  /** A file that is whole and journalled, by its path in the export. */
  whole(path: string): Promise<void>;
  /** A file of the base that is not what it was. */
  damaged(path: string): void;
}

/** What is wanted, out of the snapshot, which is not needed after that. */
export async function realmFiles(context: RunContext, run: RealmRun, rows: WantedRows, told: Pick<Told, 'event' | 'loss'>): Promise<WantedFiles> {
  return spoolWanted(await wantedOf(context, run, rows, told), run.output.run, context.orphans !== 'ignore',
    (files, bytes) => context.onEvent({ target: run.target, kind: 'files-wanted', files, bytes }));
}

/** What is wanted, read as it is asked for. */
export async function wantedOf({ source, salt, avatars }: RunContext, { plan, owners }: RealmRun, rows: WantedRows, told: Pick<Told, 'event' | 'loss'>): Promise<WantedFiles> {
  return wantedFiles(rows, plan, source, {
    salt: avatars ? salt : undefined, owners,
    onSkipped: (event) => {
      told.event(event);
      told.loss(event);
    },
  });
}

export async function pullRealmFiles({ store, fileJobs, orphans, filesTarget }: RunContext, run: RealmRun, wanted: WantedFiles, signal: AbortSignal, told: Told): Promise<FilesResult> {
  const { journal, output } = run;
  const done = (path: string): EarlierFile | undefined => {
    const part = journal.earlier(path)?.part;
    return part?.record === undefined ? undefined : part as unknown as EarlierFile;
  };
  const target = await filesTarget?.(output.partial, output.resumed);
  const base = run.base && filesOfBase(run.base, (text) => told.damaged(text));
  return withOrphanList(output.partial, (list) => pullFiles(store, wanted, output.partial, { jobs: fileJobs, signal, done: output.resumed ? done : undefined, base, target, orphans }, async (event) => {
    told.event(event);
    if (event.kind === 'file') {
      const { path, size, sha256, record, oddMetadata, identity, etag } = event;
      journal.append('file', { path, size, sha256, record, oddMetadata, identity, etag, base: event.base === true ? true : undefined });
      await told.whole(path);
      if (event.base === true) run.onTaken?.({ path, size, sha256 });
    } else if (event.kind === 'orphan') await keepOrphan(run, event, list, told);
    else told.loss(event);
  }));
}

function filesOfBase(base: Base, onDamaged: (path: string) => void): FilesOfBase {
  return {
    find: (path) => {
      const part = base.file(path);
      return part?.record === undefined ? undefined : part as unknown as EarlierFile;
    },
    take: async (path, partial, file) => {
      const from = join(base.directory, path);
      const whole = await takeOver(from, partial, file);
      if (!whole) onDamaged(from);
      return whole;
    },
  };
}

async function keepOrphan({ journal, plan }: RealmRun, orphan: Orphan, list: (orphan: Orphan) => void, told: Told): Promise<void> {
  // Its name was given by nobody knows whom, who need not have consented.
  if (plan.request.mode === 'full') list(orphan);
  if (orphan.copy === undefined) return;
  journal.append('file', orphan.copy);
  await told.whole(orphan.copy.path);
}
