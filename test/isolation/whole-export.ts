/** Whole exports of a random server, by workers and into files, read back as tables. */
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { runExport, type ExportOptions } from '../../src/commands/export.js';
import { directoryOf as pathOf, type Outcome } from '../../src/export/outcome.js';
import { openLocalStore } from '../../src/files/local-store.js';
import { connectionSettings } from '../../src/snapshot/connection-settings.js';
import type { Row, Tables } from './server-rows.js';

/** Options of a run, as the command line would give them, without what every test says itself. */
export function exportOptions(url: string, uploads: string, output: string): Omit<ExportOptions, 'targets' | 'mode'> {
  return {
    settings: connectionSettings(url, {}), output, jobs: 1, resume: false, snapshot: undefined, maxSnapshotAge: undefined, signal: undefined, force: true, decisions: { strip: new Set(), keep: new Set() },
    approvedFilesOnly: true, consentMessage: undefined, zulipVersion: undefined, migrationStatus: { file: undefined, zulipDir: undefined },
    openStore: () => openLocalStore({ uploadsDir: uploads }), fileJobs: undefined, salt: 'salt', avatars: true, randomSeed: undefined, verify: true,
    onEvent: () => undefined,
  };
}

/** Writes the files of the server's attachments as LOCAL_UPLOADS_DIR has them. */
export function writeUploads(directory: string, server: Tables): void {
  mkdirSync(join(directory, 'files'), { recursive: true });
  mkdirSync(join(directory, 'avatars'), { recursive: true });
  for (const { path_id: path } of server.zerver_attachment ?? []) {
    mkdirSync(dirname(join(directory, 'files', String(path))), { recursive: true });
    writeFileSync(join(directory, 'files', String(path)), 'text');
  }
}

/** The directory of the only target. @throws what the export failed with */
export async function exportOne(options: ExportOptions): Promise<string> {
  const [outcome] = await runExport(options);
  return directoryOf(outcome as Outcome);
}

export function directoryOf(outcome: Outcome): string {
  if ('error' in outcome) throw outcome.error;
  return pathOf(outcome);
}

/** All tables of an export directory, the numbered messages files joined. */
export function readTables(directory: string): Tables {
  const tables: Tables = {};
  for (const name of readdirSync(directory).sort()) {
    if (!/^(realm|analytics|attachment|user|messages-\d{6})\.json$/.test(name)) continue;
    for (const [table, rows] of Object.entries(JSON.parse(readFileSync(join(directory, name), 'utf8')) as Tables)) {
      // Constants such as import_source stand among the tables.
      if (Array.isArray(rows)) tables[table] = [...(tables[table] ?? []), ...rows];
    }
  }
  return tables;
}

/** Rows as PostgreSQL shows them in JSON, with timestamps as the export writes them: seconds since the epoch. */
export function withEpochTimestamps(tables: Tables): Tables {
  const convert = (value: unknown): unknown => {
    const [, seconds, fraction] = typeof value === 'string' ? (/^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?\+00:00$/.exec(value) ?? []) : [];
    return seconds === undefined ? value : Number(`${Date.parse(`${seconds}Z`) / 1000}${fraction ?? ''}`);
  };
  return Object.fromEntries(Object.entries(tables).map(([table, rows]) => [
    table, rows.map((row): Row => Object.fromEntries(Object.entries(row).map(([key, value]) => [key, convert(value)]))),
  ]));
}
