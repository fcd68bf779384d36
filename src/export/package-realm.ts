/** The last stage of a realm's export: from the parts on disk to the files that the import reads, with manifest and report. */
import { join } from 'node:path';
import type { FilesResult } from '../files/file-events.js';
import { assemble, type Member } from '../package/assemble.js';
import type { JournalPart } from '../package/journal.js';
import { OUR_CONSENT, ZULIP_CONSENT } from '../package/consent-files.js';
import { MIGRATION_STATUS } from '../package/export-files.js';
import { MANIFEST, writeManifest } from '../package/manifest.js';
import { hasMigrationStatus } from '../package/migration-status.js';
import { diskErrorOf, PartFile } from '../package/part-file.js';
import { statsJson, statsText, type FileCounts, type RecordCounts } from '../package/stats.js';
import { treeEntries } from '../package/tree-entries.js';
import { followsRule } from '../plan/release/file-rules.js';
import { VERSION } from '../version.js';
import { partPath } from '../package/part-paths.js';
import type { Parts } from './parts.js';
import { writeReport, type Report } from './report.js';
import { constants, digestOfTableFile, tableFiles } from './table-files.js';

export interface Package extends Report {
  /** The choices that shaped the export, for the manifest. */
  readonly options: Readonly<Record<string, unknown>>;
  /** Files of tables that are there already, as the base has them. */
  readonly taken?: ReadonlyMap<string, JournalPart> | undefined;
}

/** Writes everything but the parts and pulled files, which are there already. @returns the files that hold tables @throws RealmliftError as diskError */
export async function packageRealm(given: Package): Promise<JournalPart[]> {
  try {
    await writeReport(given);
    return await writeFiles(given);
  } catch (error) {
    throw diskErrorOf(error, given.directory);
  }
}

async function writeFiles(given: Package): Promise<JournalPart[]> {
  const { plan, source, files, status } = given;
  const written = await assembleTables(given);
  const tables = [...written.values()];
  const { mode } = plan.request;
  if (mode !== 'user') {
    const write = async (name: string, content: string | Iterable<string>): Promise<void> => void written.set(name, await writeTexts(given, name, content));
    const counts = countsOf(written, given.parts);
    if (hasMigrationStatus(source.version)) await write('stats.json', statsJson(counts, records(files)));
    else await write('stats.txt', statsText(counts, records(files)));
    if (status !== undefined) await write(MIGRATION_STATUS, JSON.stringify(status.content, null, 2));
    const consent = followsRule('no consented_user_ids.json', source.version.zerverMigration) ? OUR_CONSENT : ZULIP_CONSENT;
    if (mode === 'consent') await write(consent, JSON.stringify(plan.parameters.consenting_user_ids));
  }
  await manifest(given, written);
  return tables;
}

async function writeTexts({ directory }: Package, name: string, content: string | Iterable<string>): Promise<JournalPart> {
  const file = new PartFile(join(directory, name));
  try {
    for (const text of typeof content === 'string' ? [content] : content) file.writeText(text);
    return { path: name, ...(await file.finish(false)) };
  } catch (error) {
    file.abandon();
    throw error;
  }
}

async function assembleTables({ directory, plan, source, parts, taken }: Package): Promise<Map<string, JournalPart>> {
  const assembled = new Map<string, JournalPart>();
  for (const [name, tables] of tableFiles(plan)) {
    const there = taken?.get(name);
    if (there !== undefined) {
      assembled.set(name, there);
      continue;
    }
    const members: Member[] = tables
      .map((table) => ({ key: table.name, copy: (file) => parts.copy(partPath(table.name), file), rows: parts.get(partPath(table.name))?.rows?.[table.name] ?? 0 }));
    members.push(...constants(plan, source, name));
    const query = digestOfTableFile(plan, source, name, tables, (table) => parts.get(partPath(table.name))?.query);
    assembled.set(name, { ...await assemble(directory, name, members, 'compact', false), query });
  }
  return assembled;
}

/** By name, as Zulip sorts them. */
function* countsOf(assembled: ReadonlyMap<string, JournalPart>, parts: Parts): Generator<FileCounts> {
  const counts = ({ path, rows }: JournalPart): FileCounts => ({ file: path.replace('.json', ''), tables: rows ?? {} });
  const others = [...assembled.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
  for (const each of others) if (each.path < 'messages') yield counts(each);
  for (const each of parts.messages()) yield counts(each);
  for (const each of others) if (each.path > 'messages') yield counts(each);
}

function records({ areas }: FilesResult): RecordCounts {
  return { avatars: areas.avatars.records, uploads: areas.uploads.records, emoji: areas.emoji.records, realm_icons: areas.realm_icons.records };
}

async function manifest({ directory, plan, snapshot, parts, status, options, base }: Package, assembled: ReadonlyMap<string, JournalPart>): Promise<void> {
  const { realm, mode } = plan.request;
  await writeManifest(join(directory, MANIFEST), {
    format: 1, realmlift: VERSION, realm: realm.stringId, realm_id: realm.id, mode, zulip_version: status?.content.zulip_version ?? null,
    snapshot: { taken_at: snapshot.takenAt, id: snapshot.id, server: String(snapshot.serverVersion) }, options: { ...options },
    ...(base === undefined ? {} : { base: { ...base.name } }),
  }, treeEntries(directory, (path) => assembled.get(path) ?? parts.get(path)), false);
}
