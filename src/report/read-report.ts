/** report.json as pages need it. Lists of ids may be longer than memory: they pass by. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { AreaTally } from '../files/file-events.js';
import { REPORT, type Area } from '../package/export-files.js';
import { RowFields } from '../json/row-fields.js';
import type { Remapped } from '../package/remapped.js';
import type { Census } from '../verify/census.js';
import { readFile } from '../json/file-input.js';
import { JsonScanner } from '../json/json-scanner.js';
import { eachElement, eachMember } from '../json/json-walk.js';

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

/** An export that was joined with others. */
export interface Joined {
  readonly realm: string;
  readonly mode: string;
  readonly taken_at: string;
  /** Its own report.json, beside the result's. */
  readonly report: string | null;
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
  readonly merged?: readonly Joined[];
  /** By table, how many rows differed and the like. */
  readonly disagreements?: Readonly<Record<string, Readonly<Record<string, number>>>>;
  readonly remapped?: Remapped;
}

export interface ReadReport {
  readonly written: WrittenReport;
  readonly leftOut: readonly LeftOut[];
  readonly lost: readonly LostFiles[];
  /** `none`: nobody wrote one, as in Zulip's own exports. */
  readonly state: 'whole' | 'damaged' | 'none';
}

/** @param census lets messages that stayed be dated */
export function readReport(directory: string, census: Census | undefined): ReadReport {
  const report = readOne(join(directory, REPORT), census);
  const { merged } = report.written;
  return merged === undefined ? report : { ...report, written: { ...report.written, ...secretsOf(directory, merged) } };
}

function readOne(path: string, census: Census | undefined): ReadReport {
  if (!existsSync(path)) return { written: {}, leftOut: [], lost: [], state: 'none' };
  const members: Record<string, unknown> = {};
  const leftOut: LeftOut[] = [];
  const lost = new Map<string, LostFiles>();
  const { damage } = readFile(path, (source) => {
    const scanner = new JsonScanner();
    scanner.open(source);
    eachMember(scanner, (key, first) => {
      if (key === 'rows_left_out') eachElement(scanner, () => { leftOut.push(readLeftOut(scanner, census)); });
      else if (key === 'files_left_out') eachElement(scanner, (begin) => { countLost(lost, JSON.parse(scanner.takeValue(begin).toString('utf8')) as LostFiles); });
      else if (key === 'orphans' || key === 'differences') scanner.skipValue(first);
      else members[key] = JSON.parse(scanner.takeValue(first).toString('utf8'));
    });
    scanner.finish();
  });
  return damage === undefined ? { written: members, leftOut, lost: [...lost.values()], state: 'whole' } : { written: {}, leftOut: [], lost: [], state: 'damaged' };
}

/** What no export of several brought, and what some of them kept: their own reports say it. */
function secretsOf(directory: string, merged: readonly Joined[]): Pick<WrittenReport, 'stripped_columns' | 'kept_columns' | 'tables_not_exported'> {
  const reports = merged.flatMap(({ report }) => (report !== null && /^report-of-\d+\.json$/.test(report) ? [readOne(join(directory, report), undefined).written] : []));
  return {
    stripped_columns: [...new Set(reports.flatMap((each) => each.stripped_columns ?? []))],
    kept_columns: Object.assign({}, ...reports.map((each) => each.kept_columns ?? {})) as Record<string, string>,
    tables_not_exported: Object.assign({}, ...reports.map((each) => each.tables_not_exported ?? {})) as Record<string, string>,
  };
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
