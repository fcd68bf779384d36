/** The files of a realm's export: what the rows want is pulled and journalled, and what becomes of the rest is told. */
import type { FileEvent, FilesResult, Orphan } from '../files/file-events.js';
import { pullFiles, type EarlierFile } from '../files/pull-files.js';
import type { RealmRun, RunContext } from './export-realm.js';
import type { WantedFiles } from '../files/wanted-files.js';
import { withOrphanList } from './orphan-list.js';
import { wantedFiles } from './wanted.js';
import { spoolWanted } from './wanted-spool.js';

export interface Told {
  /** Each event. */
  event(event: FileEvent): void;
  /** What the report must name, but for orphans, which have a list of their own. */
  loss(event: FileEvent): void;
  /** A file that is whole and journalled, by its path in the export. */
  whole(path: string): Promise<void>;
}

/** What is wanted, out of the snapshot, which is not needed after that. */
export async function realmFiles({ source, salt, avatars, orphans }: RunContext, { session, plan, owners, output }: RealmRun, told: Pick<Told, 'event' | 'loss'>): Promise<WantedFiles> {
  const wanted = await wantedFiles(session, plan, source, {
    salt: avatars ? salt : undefined, owners,
    onSkipped: (event) => {
      told.event(event);
      told.loss(event);
    },
  });
  return spoolWanted(wanted, output.run, orphans !== 'ignore');
}

export async function pullRealmFiles({ store, fileJobs, orphans }: RunContext, run: RealmRun, wanted: WantedFiles, signal: AbortSignal, told: Told): Promise<FilesResult> {
  const { journal, output } = run;
  const done = (path: string): EarlierFile | undefined => {
    const part = journal.earlier(path)?.part;
    return part?.record === undefined ? undefined : part as unknown as EarlierFile;
  };
  return withOrphanList(output.partial, (list) => pullFiles(store, wanted, output.partial, { jobs: fileJobs, signal, done: output.resumed ? done : undefined, orphans }, async (event) => {
    told.event(event);
    if (event.kind === 'file') {
      const { path, size, sha256, record, oddMetadata } = event;
      journal.append('file', { path, size, sha256, record, oddMetadata });
      await told.whole(path);
    } else if (event.kind === 'orphan') await keepOrphan(run, event, list, told);
    else told.loss(event);
  }));
}

async function keepOrphan({ journal, plan }: RealmRun, orphan: Orphan, list: (orphan: Orphan) => void, told: Told): Promise<void> {
  // Its name was given by nobody knows whom, who need not have consented.
  if (plan.request.mode === 'full') list(orphan);
  if (orphan.copy === undefined) return;
  journal.append('file', orphan.copy);
  await told.whole(orphan.copy.path);
}
