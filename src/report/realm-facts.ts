/** What a report tells of an export that is there: out of report.json, out of what verify counted, and out of the files themselves. */
import { existsSync, lstatSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { EXIT, RealmliftError } from '../errors.js';
import { areaOf, AREAS, REALM_FILE, recordsOf, USER_FILE, type Area } from '../package/export-files.js';
import { walk } from '../package/directory-walk.js';
import { MANIFEST, readManifest } from '../package/manifest.js';
import { TIMES } from '../package/side-files.js';
import type { ReadableExport } from '../pipe/finished-export.js';
import { openReadableExport } from '../pipe/readable-export.js';
import type { Expected } from '../pipe/table-file.js';
import type { Census } from '../verify/census.js';
import type { VerifyReport } from '../verify/verify-export.js';
import { fileType, LargestFiles, type LargeFile } from './file-types.js';
import type { Place } from '../export/outcome.js';
import { readNames, type Names } from './read-names.js';
import { readReport, type ReadReport } from './read-report.js';

export interface FileCount {
  files: number;
  bytes: number;
}

/** How long the run took, kept apart from what two runs have in common. */
export interface Times {
  /** ISO 8601. */
  readonly finished_at: string;
  /** Of this export, and of reading it again. */
  readonly seconds: number;
  readonly verify_seconds: number | null;
  readonly jobs: number;
}

export interface RealmFacts {
  readonly place: Place;
  readonly realm: string;
  readonly mode: string | undefined;
  readonly version: string | undefined;
  readonly takenAt: string | undefined;
  readonly report: ReadReport;
  /** Undefined where the export was not read again. */
  readonly verified: Pick<VerifyReport, 'totals' | 'findings' | 'manifest'> | undefined;
  readonly census: Census | undefined;
  readonly areas: ReadonlyMap<Area, FileCount>;
  readonly types: ReadonlyMap<string, FileCount>;
  readonly largest: readonly LargeFile[];
  readonly times: Times | undefined;
  /** What people called things; undefined unless it was asked for. */
  readonly names: Names | undefined;
}

export interface FactsRequest {
  /** What verify found just now; undefined tells less. */
  readonly verified?: VerifyReport | undefined;
  readonly names?: boolean | undefined;
  /** The files have left already, as the stream that they are part of: report.json alone knows of them. */
  readonly gone?: boolean | undefined;
  readonly place: Place;
}

/** @throws RealmliftError NOT_AN_EXPORT, EXPORT_CHANGED, MANIFEST_DAMAGED; of an export in which verify found errors only the first */
export async function readFacts(directory: string, { verified, names = false, gone = false, place }: FactsRequest): Promise<RealmFacts> {
  const source = gone ? await withoutFiles(directory) : await open(directory, verified);
  const report = readReport(directory, verified?.census);
  const { written } = report;
  const { areas, types, largest } = gone ? countedByReport(report) : await countFiles(source.areaFiles());
  return {
    place, realm: source.header.realm, mode: source.header.mode ?? written.mode, version: written.zulip?.release ?? source.header.zulip_version ?? undefined,
    takenAt: written.snapshot?.taken_at ?? written.merged?.map(({ taken_at: at }) => at).sort().at(-1),
    report, verified, census: verified?.census, areas, types, largest, times: readTimes(directory), names: names ? namesOf(source) : undefined,
  };
}

type Opened = Pick<ReadableExport, 'areaFiles'> & Partial<Pick<ReadableExport, 'directory' | 'top'>> & { readonly header: Pick<ReadableExport['header'], 'realm' | 'zulip_version' | 'mode'> };

/** An export that is not what its manifest says has a page too, which says so first. */
async function open(directory: string, verified: VerifyReport | undefined): Promise<Opened> {
  try {
    return await openReadableExport(directory);
  } catch (error) {
    if (verified === undefined || verified.totals.errors === 0 || !(error instanceof RealmliftError)) throw error;
    requireTraces(directory);
    const rows = lstatSync(join(directory, REALM_FILE), { throwIfNoEntry: false });
    const top = new Map(rows?.isFile() === true ? [[REALM_FILE, { path: REALM_FILE, size: rows.size }]] : []);
    return { directory, top, header: await manifestHeader(directory), areaFiles: () => asFound(directory) };
  }
}

/** @throws RealmliftError NOT_AN_EXPORT */
function requireTraces(directory: string): void {
  if ([MANIFEST, REALM_FILE, USER_FILE].some((name) => existsSync(join(directory, name)))) return;
  throw new RealmliftError('NOT_AN_EXPORT', 'usage', `${directory} has none of manifest.json, realm.json and user.json`, { hint: 'name the directory of an export, unpacked', exit: EXIT.usage });
}

async function withoutFiles(directory: string): Promise<Opened> {
  return { header: await manifestHeader(directory), areaFiles: () => [] };
}

async function manifestHeader(directory: string): Promise<Opened['header']> {
  const unknown = { realm: '', zulip_version: null };
  if (!existsSync(join(directory, MANIFEST))) return unknown;
  return readManifest(join(directory, MANIFEST)).then(({ header }): Opened['header'] => header, () => unknown);
}

function* asFound(directory: string): Generator<Expected> {
  for (const { path, isFile } of walk(directory)) {
    const area = areaOf(path);
    if (isFile && area !== undefined && path !== recordsOf(area)) yield { path, size: lstatSync(join(directory, path)).size };
  }
}

type Files = Pick<RealmFacts, 'areas' | 'types' | 'largest'>;

async function countFiles(files: AsyncIterable<Expected> | Iterable<Expected>): Promise<Files> {
  const areas = new Map<Area, FileCount>(AREAS.map((area) => [area, { files: 0, bytes: 0 }]));
  const types = new Map<string, FileCount>();
  const largest = new LargestFiles();
  for await (const { path, size } of files) {
    const area = areaOf(path) as Area;
    add(areas, area, size);
    if (area === 'uploads') add(types, fileType(path), size);
    largest.add({ path, size });
  }
  return { areas, types, largest: largest.list };
}

function countedByReport({ written: { files } }: ReadReport): Files {
  return { areas: new Map(AREAS.map((area) => [area, { files: files?.[area].found ?? 0, bytes: files?.[area].bytes ?? 0 }])), types: new Map(), largest: [] };
}

function add<Key>(counts: Map<Key, FileCount>, key: Key, bytes: number): void {
  const count = counts.get(key) ?? { files: 0, bytes: 0 };
  counts.set(key, { files: count.files + 1, bytes: count.bytes + bytes });
}

/** Of a damaged export not all may be readable. */
function namesOf({ directory, top, header }: Opened): Names {
  const unread: Names = { realm: header.realm === '' ? 'a realm' : header.realm, channels: new Map() };
  if (directory === undefined || top === undefined) return unread;
  try {
    return readNames({ directory, top, header });
  } catch {
    return unread;
  }
}

/** How long the run took, where that is known. */
export function readTimes(directory: string): Times | undefined {
  try {
    return JSON.parse(readFileSync(join(directory, TIMES), 'utf8')) as Times;
  } catch {
    return undefined;
  }
}
