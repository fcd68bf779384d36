/** Whether an export fits the new server: its version, its migrations and its columns. The import asks for all three. */
import { closeSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { EXIT, RealmliftError } from '../errors.js';
import { linesFit } from '../package/migration-status.js';
import { keyOf } from '../plan/plan-tables.js';
import type { Registry } from '../plan/views/registry.js';
import { readTop, type ReadableExport } from '../pipe/finished-export.js';
import { eachTableFile } from '../pipe/opened-tables.js';
import { parsed } from '../json/parsed.js';
import { RowFields } from '../json/row-fields.js';
import { MIGRATION_STATUS, REPORT } from '../package/export-files.js';
import type { TableFile } from '../pipe/table-file.js';
import { ADDED } from './reference-catalog.js';
import type { TargetServer } from './target-server.js';

/** The report names the migration in its first members. */
const REPORT_HEAD = 64 * 1024;

/** @throws RealmliftError TARGET_VERSION saying what differs */
export function refuseMisfit(source: ReadableExport, files: readonly TableFile[], target: TargetServer, registry: Registry): void {
  const misfit = versionMisfit(source, target) ?? migrationsMisfit(source, target) ?? columnsMisfit(source, files, target, registry);
  if (misfit !== undefined) throw targetVersion(misfit);
}

export function targetVersion(misfit: string): RealmliftError {
  return new RealmliftError('TARGET_VERSION', 'remap', misfit, { hint: 'an import takes only an export of its own version: bring both servers to the same one', exit: EXIT.nothingExported });
}

/** Another major version; undefined when it is the same, or when the export does not say its own. */
export function versionMisfit({ header: { zulip_version: version } }: ReadableExport, target: TargetServer): string | undefined {
  if (version === null || Number.parseInt(version, 10) === target.version.major) return undefined;
  return `the export is of Zulip ${version}, the new server of Zulip ${target.version.major} (${target.version.release})`;
}

/**
 * Migrations that one has and the other has not (zerver/lib/import_realm.py compares the apps that both have). The lines of
 * migration_status.json are held to what the new server's database says is applied; an export of a version without that file
 * names its newest migration in the report.
 */
export function migrationsMisfit(source: ReadableExport, { version }: TargetServer): string | undefined {
  const status = readTop(source, MIGRATION_STATUS);
  if (status === undefined) {
    const newest = newestMigration(source);
    return newest === undefined || newest === version.newestMigrationName ? undefined : `the export's newest migration is ${newest}, the new server's is ${version.newestMigrationName}`;
  }
  const applied = new Map<string, Set<string>>();
  for (const { app, name } of version.applied) applied.set(app, (applied.get(app) ?? new Set()).add(name));
  const apps = Object.entries(Object((parsed(status) as { migrations_by_app?: unknown } | null | undefined)?.migrations_by_app) as Record<string, unknown>);
  if (apps.length === 0 || !apps.every((entry): entry is [string, string[]] => Array.isArray(entry[1]) && entry[1].every((line) => typeof line === 'string'))) return `${MIGRATION_STATUS} is not the status of migrations`;
  const differing = apps.filter(([app, lines]) => applied.has(app) && !linesFit(lines, applied.get(app) as Set<string>)).map(([app]) => app);
  return differing.length === 0 ? undefined : `other migrations are applied to the new server than to that of the export: of ${differing.join(', ')}`;
}

function newestMigration({ directory, top }: ReadableExport): string | undefined {
  if (!top.has(REPORT)) return undefined;
  const fd = openSync(join(directory, REPORT), 'r');
  try {
    const head = Buffer.alloc(REPORT_HEAD);
    return /"newest_migration":\s*"(\w+)"/.exec(head.toString('utf8', 0, readSync(fd, head, 0, head.length, 0)))?.[1];
  } finally {
    closeSync(fd);
  }
}

/** A table or a key that is none of the new server: the import stops at it half-way. */
export function columnsMisfit(source: ReadableExport, files: readonly TableFile[], target: TargetServer, registry: Registry): string | undefined {
  const inFile = (file: TableFile): string | undefined => {
    const fields = new RowFields();
    for (const table of file.tables) {
      const [row] = file.rows(table);
      const view = registry.tables.get(table);
      if (row === undefined || table === 'zerver_userprofile_crossrealm') continue;
      const live = target.catalog.get(view?.table ?? table);
      if (live === undefined) return `the new server has no table ${table}`;
      const keys = new Set([...live.columns.keys()].map((column) => (view === undefined ? column : keyOf(column, { view }, registry, target.catalog))));
      fields.split(row);
      for (let field = 0; field < fields.count; field++) {
        const key = fields.key(field);
        if (!keys.has(key) && !ADDED.has(key)) return `the new server's ${table} has no ${key}`;
      }
    }
    return undefined;
  };
  for (const opened of [files, eachTableFile(source, source.messages.slice(0, 1))]) {
    for (const file of opened) {
      const misfit = inFile(file);
      if (misfit !== undefined) return misfit;
    }
  }
  return undefined;
}
