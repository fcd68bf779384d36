/**
 * `realmlift verify`: reads a finished export again, every byte of it, and says what is wrong with it.
 *
 * Users, channels, recipients and the like are held in memory; nothing that grows with the number of messages is: rows
 * are scanned as bytes by worker threads, and ids that must be compared over all files go to sorted temporary files.
 */
import { lstatSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { asRealmliftError } from '../errors.js';
import { walk, type FoundFile } from '../package/directory-walk.js';
import { comparePaths, isWithoutFiles, MANIFEST, readManifest, type ManifestFile } from '../package/manifest.js';
import type { Census } from './census.js';
import { checkHeader } from './check-header.js';
import type { DigestsAhead } from './digests-ahead.js';
import type { ExportKind, SharedContext } from './export-context.js';
import { kindOf, manifestDamage, openExport, type OpenedExport } from './export-opening.js';
import { FileChecks } from './file-checks.js';
import { FindingList, type Finding } from './findings.js';
import { IdSpool } from '../ids/id-spool.js';
import { IdTable } from '../ids/id-table.js';
import { checkedBy, stillHolds, type CheckedBefore, type CheckedBy, type CheckedFile } from './checked-files.js';
import { compareWithManifest } from '../package/manifest-comparison.js';
import { AREAS, ATTACHMENT_FILE, REALM_FILE, recordsOf, USER_FILE, type Area } from '../package/export-files.js';
import { withTemporaryFiles } from '../ids/temporary-files.js';
import { checkIdsOverFiles, contextOf } from './whole-export.js';
import { TasksHere } from './tasks-here.js';
import { VerifyThreads } from './verify-threads.js';
import { SPOOLS_PER_WORKER, type TaskRunner } from './worker-tasks.js';
import { tellPhase, VERIFICATION } from '../narration.js';

/** Bytes of an export that this thread reads sooner than it starts others. */
const SMALL = 16 * 1024 * 1024;

export interface VerifyOptions {
  /** Worker threads, at most; default: the processors. */
  jobs?: number;
  /** Who is there already, instead. */
  workers?: VerifyWorkers;
  /** What an earlier export remembers of messages files that this one has too. */
  before?: CheckedBefore | undefined;
  /** Which messages files were made of those of the earlier export just now, past the page cache, see mended-file.ts. */
  mended?: ((path: string) => boolean) | undefined;
  /** Digests of its files that were taken while the others were made. */
  ahead?: Pick<DigestsAhead, 'has'> | undefined;
  /** Is told what a later export can know of messages files: first by what they are checked, then each good one. */
  remember?: { by(by: CheckedBy): void; file(file: CheckedFile): void } | undefined;
  /** After each file or small group of files. */
  onProgress?: (progress: VerifyProgress) => void;
}

export interface VerifyProgress {
  files: number;
  bytes: number;
}

export interface VerifyReport {
  directory: string;
  /** A realm's export (realm.json) or a single user's (user.json). */
  kind: 'realm' | 'user';
  /** Whether a manifest.json is there. */
  manifest: boolean;
  /** At most {@link MAX_LISTED} of them. */
  findings: Finding[];
  totals: {
    /** Findings, listed or not. */
    errors: number;
    notes: number;
    files: number;
    bytes: number;
    /** By table, over all files. */
    rows: Record<string, number>;
    seconds: number;
  };
  /** Undefined where nothing could be read. */
  census?: Census;
}

/**
 * Checks the export in `directory`. It is good when `totals.errors` is 0.
 *
 * @throws RealmliftError `EXPORT_MISSING` when there is no such directory, `FILE_FAILED`, `VERIFY_READ` when a file cannot be read.
 */
export async function verifyExport(directory: string, options: VerifyOptions = {}): Promise<VerifyReport> {
  const started = performance.now();
  const jobs = options.jobs ?? availableParallelism();
  const findings = new FindingList();
  const opened = await openExport(directory, findings);
  const report = (totals: { files: number; bytes: number; rows: Record<string, number> }, census?: Census): VerifyReport => ({
    directory,
    kind: opened.oneUser ? 'user' : 'realm',
    manifest: opened.ours,
    // Workers finish in any order; the report is the same for any number of them.
    findings: findings.list().sort((a, b) => comparePaths(`${a.file}\n${a.table}\n${a.message}`, `${b.file}\n${b.table}\n${b.message}`)),
    totals: { ...findings.counts, ...totals, seconds: (performance.now() - started) / 1000 },
    ...(census === undefined ? {} : { census }),
  });
  if (opened.empty) return report({ files: 0, bytes: 0, rows: {} });

  const check = async ({ pool, scratch }: VerifyWorkers): Promise<VerifyReport> => {
    const context = await indexExport(opened, pool, findings);
    if (context === undefined) return report({ files: 1, bytes: 0, rows: {} });
    const { before, remember, mended = () => false, ahead } = options;
    remember?.by(checkedBy(context));
    const checked = { before: before !== undefined && stillHolds(before.by, context) ? before : undefined, remember: remember && ((file: CheckedFile) => { remember.file(file); }), mended, ahead };
    const { records, counts } = await checkAllRecords(opened, context, pool, findings);
    const files = new FileChecks(pool, opened, findings, records, checked, ({ files, bytes }) => options.onProgress?.({ files, bytes }));
    for (const [area, count] of counts) files.compareRecords(area, count);
    if (opened.header !== undefined && isWithoutFiles(opened.header)) findings.add('note', ATTACHMENT_FILE, undefined, 'exported with --no-files: no uploaded files, avatars, emoji and icons, and no rows of attachments');
    // Of many exports at once nobody wants to see each.
    if (options.workers === undefined) tellPhase(VERIFICATION, 'bytes', await listedBytes(opened));
    await checkAllFiles(opened, files, findings);
    checkIdsOverFiles(await pool.runOnAll('finish', undefined), context.kind, new IdSpool(scratch), findings);
    return report(files.totals, files.census);
  };
  if (options.workers !== undefined) return check(options.workers);
  return isSmall(directory) ? withVerifyHere(check) : withVerifyThreads(jobs, check);
}

/** What looks at one export at a time, and then at another. */
export interface VerifyWorkers {
  readonly pool: TaskRunner;
  /** A temporary file. */
  readonly scratch: number;
}

function isSmall(directory: string): boolean {
  let bytes = 0;
  for (const { path } of found(directory)) {
    // Of a file that is gone, whoever reads it says so.
    bytes += lstatSync(join(directory, path), { throwIfNoEntry: false })?.size ?? 0;
    if (bytes > SMALL) return false;
  }
  return true;
}

/** In this very thread. */
export function withVerifyHere<T>(work: (workers: VerifyWorkers) => Promise<T>): Promise<T> {
  return withTemporaryFiles((open) => {
    const [scratch] = open(1) as [number];
    return work({ pool: new TasksHere(open(SPOOLS_PER_WORKER)), scratch });
  });
}

/** @param jobs worker threads, at most */
export function withVerifyThreads<T>(jobs: number, work: (workers: VerifyWorkers) => Promise<T>): Promise<T> {
  return withTemporaryFiles((open) => {
    const [scratch] = open(1) as [number];
    return VerifyThreads.with(jobs, () => open(SPOOLS_PER_WORKER), (pool) => work({ pool, scratch }));
  });
}

/** Undefined when realm.json or user.json cannot be read: nothing can be checked against it then. */
async function indexExport(opened: OpenedExport, pool: TaskRunner, findings: FindingList): Promise<SharedContext | undefined> {
  const file = opened.oneUser ? USER_FILE : REALM_FILE;
  const { index, damage } = await pool.run('index', { path: join(opened.directory, file), oneUser: opened.oneUser });
  if (damage !== undefined) findings.add('error', file, undefined, damage);
  if (index === undefined) {
    findings.add('note', file, undefined, 'nothing else can be checked without it');
    return undefined;
  }
  await checkHeader(opened, index, findings);
  return contextOf(opened, index, findings);
}

interface AllRecords {
  /** The paths that have a record. */
  records: Map<Area, IdTable>;
  counts: Map<Area, number | undefined>;
}

/** Tells the workers the context, has the records read, and tells them of the uploads. */
async function checkAllRecords(opened: OpenedExport, context: SharedContext, pool: TaskRunner, findings: FindingList): Promise<AllRecords> {
  await pool.runOnAll('context', context);
  const all: AllRecords = { records: new Map(), counts: new Map() };
  await Promise.all(AREAS.map(async (area) => {
    if (!(await hasRecords(opened.directory, area, context.kind, findings))) return;
    const result = await pool.run('records', { area });
    findings.append(result.findings);
    all.records.set(area, new IdTable(false, result.paths));
    all.counts.set(area, result.records);
    if (area === 'uploads') context.uploads = result.keys;
  }));
  context.uploads ??= new IdTable().share();
  await pool.runOnAll('context', context);
  return all;
}

/** The import opens the records of uploads and avatars in any case, those of the others if the folder is there. Zulip 4 exports no files of single users. */
async function hasRecords(directory: string, area: Area, kind: ExportKind, findings: FindingList): Promise<boolean> {
  if (await kindOf(join(directory, recordsOf(area))) === 'file') return true;
  const needed = ((area === 'uploads' || area === 'avatars') && !(kind.oneUser && kind.untilZulip4)) || await kindOf(join(directory, area)) === 'directory';
  if (needed) findings.add('error', recordsOf(area), undefined, 'the file is missing: the import stops without it');
  return false;
}

/** Undefined without a manifest, or with one that cannot be read: then nobody knows. */
async function listedBytes({ directory, listed }: OpenedExport): Promise<number | undefined> {
  if (listed === undefined) return undefined;
  let bytes = 0;
  try {
    for await (const { size } of (await readManifest(join(directory, MANIFEST))).files) bytes += size;
  } catch {
    return undefined;
  }
  return bytes;
}

async function checkAllFiles(opened: OpenedExport, files: FileChecks, findings: FindingList): Promise<void> {
  let complete = opened.listed !== undefined;
  async function* listed(): AsyncGenerator<ManifestFile> {
    try {
      yield* opened.listed ?? [];
    } catch (error) {
      findings.add('error', MANIFEST, undefined, manifestDamage(error));
      complete = false;
    }
  }
  for await (const file of compareWithManifest(found(opened.directory), listed())) await files.check(file, complete);
  await files.finish();
}

function* found(directory: string): Generator<FoundFile> {
  try {
    yield* walk(directory);
  } catch (error) {
    throw asRealmliftError(error, 'verify');
  }
}
