/**
 * report.json, the loss ledger: what was exported by which rules, and for each class how many rows and files stayed, why, and
 * which. Ids are streamed from disk, so the report may be as long as it must.
 */
import { join } from 'node:path';
import { AREAS } from '../files/wanted-files.js';
import type { FileEvent, FilesResult } from '../files/file-events.js';
import { assemble, type Member } from '../package/assemble.js';
import type { MigrationStatusResult } from '../package/migration-status.js';
import { PartFile } from '../package/part-file.js';
import { rulesOf, type ExportPlan } from '../plan/plan-export.js';
import type { Source } from '../plan/source.js';
import type { Snapshot } from '../snapshot/snapshot.js';
import { VERSION } from '../version.js';
import { ORPHANS_PATH } from './orphan-list.js';
import { PARTS_DIRECTORY, ledgerPath } from './part-paths.js';
import type { Parts } from './parts.js';

export interface Report {
  readonly directory: string;
  readonly plan: ExportPlan;
  readonly source: Source;
  readonly snapshot: Snapshot;
  readonly parts: Parts;
  readonly rows: ReadonlyMap<string, number>;
  readonly files: FilesResult;
  readonly losses: readonly FileEvent[];
  readonly status: MigrationStatusResult | undefined;
  readonly warnings: readonly string[];
  /** See PartFile.finish. */
  readonly flushed: boolean;
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
  const path = await ledgerPart(report);
  const members: Member[] = [
    { key: 'realmlift', value: VERSION },
    { key: 'realm', value: request.realm.stringId },
    { key: 'mode', value: request.mode },
    { key: 'snapshot', value: { taken_at: snapshot.takenAt, id: snapshot.id, server_version_num: snapshot.serverVersion } },
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
    { key: 'files_left_out', value: losses },
    { key: 'orphans', part: ORPHANS_PATH, rows: 0 },
    { key: 'rows_left_out', part: path, rows: 0 },
  ];
  await assemble(directory, 'report.json', members, 'indented', report.flushed);
}

/** `[{"class":…,"reason":…,"count":…,"rows":[…]},…]` as a part of its own, since the lists of rows lie on disk. */
async function ledgerPart({ directory, plan, parts, flushed }: Report): Promise<string> {
  const entries = ledgerEntries(plan, parts);
  const written: string[] = [];
  for (const { name, dataClass, reason, count } of entries) {
    const path = `${PARTS_DIRECTORY}/left-out-${name}.json`;
    await assemble(directory, path, [{ key: 'class', value: dataClass }, { key: 'what', value: name }, { key: 'reason', value: reason }, { key: 'count', value: count }, { key: 'rows', copy: (file) => parts.copy(ledgerPath(name), file), rows: count }], 'compact', flushed);
    written.push(path);
  }
  return joinParts(directory, written, flushed);
}

async function joinParts(directory: string, paths: readonly string[], flushed: boolean): Promise<string> {
  const path = `${PARTS_DIRECTORY}/left-out.json`;
  const file = new PartFile(join(directory, path));
  try {
    for (const [index, each] of paths.entries()) {
      file.writeText(index === 0 ? '[\n    ' : ',\n    ');
      await file.append(join(directory, each));
    }
    file.writeText(paths.length === 0 ? '[]' : '\n  ]');
    await file.finish(flushed);
    return path;
  } catch (error) {
    file.abandon();
    throw error;
  }
}
