/**
 * report.json, the loss ledger: what was exported by which rules, and for each class how many rows and files stayed, why, and
 * which. Ids are streamed from disk, so the report may be as long as it must.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { AREAS, REPORT } from '../package/export-files.js';
import type { FilesResult } from '../files/file-events.js';
import { assemble, type Member } from '../package/assemble.js';
import type { MigrationStatusResult } from '../package/migration-status.js';
import type { PartFile } from '../package/part-file.js';
import { rulesOf, type ExportPlan } from '../plan/plan-export.js';
import type { Source } from '../plan/source.js';
import type { Snapshot } from '../snapshot/snapshot.js';
import { VERSION } from '../version.js';
import type { BaseName } from './base/base.js';
import type { LossList } from './loss-list.js';
import { ORPHANS_PATH } from './orphan-list.js';
import { ledgerPath } from '../package/part-paths.js';
import type { Parts } from './parts.js';

export interface Report {
  readonly directory: string;
  readonly plan: ExportPlan;
  readonly source: Source;
  readonly snapshot: Snapshot;
  readonly parts: Parts;
  readonly rows: ReadonlyMap<string, number>;
  readonly files: FilesResult;
  readonly losses: LossList;
  readonly status: MigrationStatusResult | undefined;
  readonly warnings: readonly string[];
  readonly base?: BaseReport | undefined;
}

/** What came of the base of a run. */
export interface BaseReport {
  readonly name: BaseName;
  /** Nothing was written on the server since. */
  readonly unchanged: boolean;
  /** Why its rows were compared one by one; undefined where the server told by their versions which are new. */
  readonly compared: string | undefined;
  /** Messages files and pulled files that were taken over. */
  readonly messagesFiles: number;
  /** Messages files that were taken over but for a few rows. */
  readonly mended: number;
  readonly files: number;
}

/** Rows of one kind that stay. */
export interface LedgerEntry {
  readonly name: string;
  readonly dataClass: string;
  readonly reason: string;
  readonly count: number;
}

/** What the ledger's views found, without the empty ones. */
export function ledgerEntries(plan: ExportPlan, parts: Parts): LedgerEntry[] {
  return plan.compiled.ledger.map(({ name, view }) => ({
    name, dataClass: view.loss?.dataClass ?? '', reason: view.loss?.reason ?? '', count: parts.get(ledgerPath(name))?.rows?.[name] ?? 0,
  })).filter(({ count }) => count > 0);
}

export async function writeReport(report: Report): Promise<void> {
  const { directory, plan, source, snapshot, files, losses, status, warnings } = report;
  const { request, review } = plan;
  const members: Member[] = [
    { key: 'realmlift', value: VERSION },
    { key: 'realm', value: request.realm.stringId },
    { key: 'mode', value: request.mode },
    { key: 'snapshot', value: { taken_at: snapshot.takenAt, id: snapshot.id, server_version_num: snapshot.serverVersion } },
    ...(report.base === undefined ? [] : [{ key: 'base', value: baseMember(report.base) }]),
    { key: 'zulip', value: { release: source.version.release, newest_migration: source.version.newestMigrationName, rules_of_migration: source.version.zerverMigration, evidence: source.version.evidence, migration_status: status?.source ?? null } },
    { key: 'rules', value: Object.fromEntries(rulesOf(plan, source.version)) },
    { key: 'rows', value: Object.fromEntries(report.rows) },
    { key: 'files', value: Object.fromEntries(AREAS.map((area) => [area, files.areas[area]])) },
    { key: 'stripped_columns', value: review.stripped },
    { key: 'kept_columns', value: Object.fromEntries(review.kept) },
    { key: 'unknown_tables', value: review.unknownTables },
    { key: 'unknown_columns', value: review.unknownColumns },
    { key: 'references_without_constraint', value: review.unboundReferences },
    { key: 'left_out_columns', value: Object.fromEntries([...plan.compiled.tables.values()].filter((each) => each.leftOut.length > 0).map((each) => [each.name, each.leftOut])) },
    { key: 'tables_not_exported', value: Object.fromEntries(review.notExported) },
    { key: 'warnings', value: warnings },
    { key: 'files_left_out', copy: (file) => losses.write(file), rows: 0 },
    existsSync(join(directory, ORPHANS_PATH)) ? { key: 'orphans', part: ORPHANS_PATH, rows: 0 } : { key: 'orphans', value: [] },
    { key: 'rows_left_out', copy: (file) => writeLedger(file, report), rows: 0 },
  ];
  await assemble(directory, REPORT, members, 'indented', false);
}

const NOTHING_WRITTEN = 'nothing was written on the server since';

function baseMember({ name, unchanged, compared, messagesFiles, mended, files }: BaseReport): object {
  const rows = unchanged ? NOTHING_WRITTEN : compared === undefined ? 'by their versions' : `compared one by one: ${compared}`;
  return { ...name, rows, taken_over: { messages_files: messagesFiles, messages_files_but_for_a_few_rows: mended, files } };
}

/** `[{"class":…,"reason":…,"count":…,"rows":[…]},…]`, an entry a line. */
async function writeLedger(file: PartFile, { plan, parts }: Report): Promise<void> {
  const entries = ledgerEntries(plan, parts);
  for (const [index, { name, dataClass, reason, count }] of entries.entries()) {
    file.writeText(`${index === 0 ? '[\n    ' : ',\n    '}${JSON.stringify({ class: dataClass, what: name, reason, count }).slice(0, -1)},"rows":`);
    await parts.copy(ledgerPath(name), file);
    file.writeText('}');
  }
  file.writeText(entries.length === 0 ? '[]' : '\n  ]');
}
