/** What a report tells of an export that is there: out of report.json, out of what verify counted, and out of the manifest. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { RealmliftError } from '../errors.js';
import type { AreaTally } from '../files/file-events.js';
import { AREAS, type Area } from '../files/wanted-files.js';
import { TIMES } from '../package/side-files.js';
import { areaOf } from '../pipe/finished-export.js';
import { openReadableExport } from '../pipe/readable-export.js';
import { RowFields } from '../pipe/row-fields.js';
import type { Census } from '../verify/census.js';
import { readFile } from '../verify/file-input.js';
import { JsonScanner } from '../verify/json-scanner.js';
import { eachElement, eachMember } from '../verify/json-walk.js';
import type { VerifyReport } from '../verify/verify-export.js';
import { fileType, LargestFiles, type LargeFile } from './file-types.js';

/** Rows that stayed, of one kind. */
export interface LeftOut {
  readonly dataClass: string;
  readonly what: string;
  readonly reason: string;
  readonly count: number;
  /** Of messages: by month, as far as their ids tell. */
  readonly months: Record<string, number>;
}

/** Files that stayed, by what became of them. */
export interface LostFiles {
  readonly area: string;
  readonly kind: string;
  readonly reason: string | undefined;
  count: number;
}

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

/** The members of report.json that a page shows. */
export interface WrittenReport {
  readonly mode?: string;
  readonly rows?: Readonly<Record<string, number>>;
  readonly files?: Readonly<Record<Area, AreaTally>>;
  readonly zulip?: { readonly release: string; readonly evidence: string };
  readonly snapshot?: { readonly taken_at: string };
  readonly stripped_columns?: readonly string[];
  readonly kept_columns?: Readonly<Record<string, string>>;
  readonly unknown_tables?: readonly string[];
  readonly tables_not_exported?: Readonly<Record<string, string>>;
  readonly warnings?: readonly string[];
}

export interface RealmFacts {
  readonly directory: string;
  readonly realm: string;
  readonly mode: string | undefined;
  readonly version: string | undefined;
  readonly takenAt: string | undefined;
  readonly written: WrittenReport;
  readonly leftOut: readonly LeftOut[];
  readonly lost: readonly LostFiles[];
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

export interface Names {
  readonly realm: string;
  readonly channels: ReadonlyMap<string, string>;
}

/**
 * @param verified what verify found just now; undefined tells less
 * @throws RealmliftError NOT_AN_EXPORT, EXPORT_CHANGED, MANIFEST_DAMAGED
 */
export async function readFacts(directory: string, verified: VerifyReport | undefined, names: Names | undefined): Promise<RealmFacts> {
  const source = await openReadableExport(directory);
  const areas = new Map<Area, FileCount>(AREAS.map((area) => [area, { files: 0, bytes: 0 }]));
  const types = new Map<string, FileCount>();
  const largest = new LargestFiles();
  for await (const { path, size } of source.areaFiles()) {
    const area = areaOf(path) as Area;
    add(areas, area, size);
    if (area === 'uploads') add(types, fileType(path), size);
    largest.add({ path, size });
  }
  const { written, leftOut, lost } = readReport(directory, verified?.census);
  return {
    directory, realm: source.header.realm, mode: source.header.mode ?? written.mode, version: written.zulip?.release ?? source.header.zulip_version ?? undefined,
    takenAt: written.snapshot?.taken_at, written, leftOut, lost, verified, census: verified?.census, areas, types, largest: largest.list, times: readTimes(directory), names,
  };
}

function add<Key>(counts: Map<Key, FileCount>, key: Key, bytes: number): void {
  const count = counts.get(key) ?? { files: 0, bytes: 0 };
  counts.set(key, { files: count.files + 1, bytes: count.bytes + bytes });
}

function readTimes(directory: string): Times | undefined {
  const path = join(directory, TIMES);
  return existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) as Times : undefined;
}

type ReadReport = Pick<RealmFacts, 'leftOut' | 'lost'> & { readonly written: WrittenReport };

/** Lists of ids may be longer than memory: they pass by. */
function readReport(directory: string, census: Census | undefined): ReadReport {
  const path = join(directory, 'report.json');
  if (!existsSync(path)) return { written: {}, leftOut: [], lost: [] };
  const members: Record<string, unknown> = {};
  const leftOut: LeftOut[] = [];
  const lost = new Map<string, LostFiles>();
  const { damage } = readFile(path, (source) => {
    const scanner = new JsonScanner();
    scanner.open(source);
    eachMember(scanner, (key, first) => {
      if (key === 'rows_left_out') eachElement(scanner, () => { leftOut.push(readLeftOut(scanner, census)); });
      else if (key === 'files_left_out') eachElement(scanner, (begin) => { countLost(lost, JSON.parse(scanner.takeValue(begin).toString('utf8')) as LostFiles); });
      else if (key === 'orphans') scanner.skipValue(first);
      else members[key] = JSON.parse(scanner.takeValue(first).toString('utf8'));
    });
    scanner.finish();
  });
  if (damage !== undefined) throw new RealmliftError('REPORT_DAMAGED', 'verify', `report.json: ${damage}`, { hint: 'realmlift verify tells what else is damaged' });
  return { written: members, leftOut, lost: [...lost.values()] };
}

function countLost(lost: Map<string, LostFiles>, { area, kind, reason }: LostFiles): void {
  const key = `${area} ${kind} ${reason ?? ''}`;
  const known = lost.get(key) ?? { area, kind, reason, count: 0 };
  known.count++;
  lost.set(key, known);
}

function readLeftOut(scanner: JsonScanner, census: Census | undefined): LeftOut {
  const entry: Record<string, unknown> = {};
  const months: Record<string, number> = {};
  const monthOf = monthsById(census);
  const fields = new RowFields();
  eachMember(scanner, (key, first) => {
    if (key !== 'rows') entry[key] = JSON.parse(scanner.takeValue(first).toString('utf8'));
    else {
      const dated = entry['class'] === 'message' && String(entry['what']).endsWith('_message');
      eachElement(scanner, (begin) => {
        const month = dated ? monthOf(fields.split(scanner.takeValue(begin)).integerOf('id')) : (scanner.skipValue(begin), undefined);
        if (month !== undefined) months[month] = (months[month] ?? 0) + 1;
      });
    }
  });
  return { dataClass: String(entry['class']), what: String(entry['what']), reason: String(entry['reason']), count: Number(entry['count']), months };
}

/** Ids rise with time: a message that stayed is of the month of the next one that travels. */
function monthsById(census: Census | undefined): (id: number) => string | undefined {
  const months = Object.entries(census?.months ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
  return (id) => (months.find(([, { lastId }]) => lastId >= id) ?? months.at(-1))?.[0];
}
