/** What stands beside the rows of a merged export: migration status, consent, statistics, report, manifest. */
import { copyFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { assemble, type Member } from '../package/assemble.js';
import { OUR_CONSENT, ZULIP_CONSENT } from '../package/consent-files.js';
import { MIGRATION_STATUS, REPORT } from '../package/export-files.js';
import type { JournalPart } from '../package/journal.js';
import { isWithoutFiles, MANIFEST, readManifest, WITHOUT_FILES, writeManifest, type ManifestFile, type ManifestHeader } from '../package/manifest.js';
import { RUN_DIRECTORY } from '../package/output-directory.js';
import { statsJson, statsText, type FileCounts } from '../package/stats.js';
import { treeEntries } from '../package/tree-entries.js';
import { ID_MAPS } from '../pipe/finished-export.js';
import { VERSION } from '../version.js';
import type { MergeInput } from './merge-input.js';
import type { MergeContext } from './merge-tables.js';
import type { RecordCounts } from './merge-files.js';
import { STAYED_ATTACHMENTS } from './stayed-attachments.js';

/** Where the inputs' own reports go, since each tells what its export left out. */
const reportOf = (index: number): string => `report-of-${index}.json`;

/** Where the maps of old to new ids go of those that were given other ids. */
const idMapsOf = (index: number): string => `id_maps-of-${index}.json`;

/**
 * @param files copies the files as it is read, and fills `records`
 * @returns the manifest's head
 */
export async function writePackage(context: MergeContext, parts: Map<string, JournalPart>, files: AsyncIterable<ManifestFile>, records: RecordCounts): Promise<ManifestHeader> {
  const { directory, inputs } = context;
  const latest = inputs.at(-1) as MergeInput;
  const header = headerOf(inputs);
  // The list of files is as long as the realm has files: it goes to disk, in the form that the manifest has anyway.
  const list = join(directory, RUN_DIRECTORY, 'files.json');
  await writeManifest(list, header, files);
  const write = (name: string, content: string | Iterable<string>): Promise<void> => writeFile(join(directory, name), content, { mode: 0o600 });
  const has = (name: string): boolean => latest.source.top.has(name);
  if (has(MIGRATION_STATUS)) await copyFile(join(latest.source.directory, MIGRATION_STATUS), join(directory, MIGRATION_STATUS));
  const consent = inputs.some(({ source }) => source.top.has(OUR_CONSENT)) ? OUR_CONSENT : ZULIP_CONSENT;
  if (header.mode === 'consent') await write(consent, JSON.stringify(consenting(inputs)));
  const counts: FileCounts[] = [...parts.values()].map(({ path, rows }) => ({ file: path.replace('.json', ''), tables: rows ?? {} })).sort((a, b) => (a.file < b.file ? -1 : 1));
  const recordCounts = { avatars: records.get('avatars') ?? 0, uploads: records.get('uploads') ?? 0, emoji: records.get('emoji') ?? 0, realm_icons: records.get('realm_icons') ?? 0 };
  if (has('stats.json')) await write('stats.json', statsJson(counts, recordCounts));
  if (has('stats.txt')) await write('stats.txt', statsText(counts, recordCounts));
  for (const { index, source } of inputs) if (source.top.has(ID_MAPS)) await copyFile(join(source.directory, ID_MAPS), join(directory, idMapsOf(index)));
  await writeReport(context);
  await writeManifest(join(directory, MANIFEST), header, treeEntries(directory, (path) => parts.get(path), (await readManifest(list)).files));
  return header;
}

function headerOf(inputs: readonly MergeInput[]): ManifestHeader {
  const latest = inputs.at(-1) as MergeInput;
  const modes = new Set(inputs.map(({ source }) => source.header.mode));
  // The widest of the modes: what all have in common holds for the result, and no more.
  const mode = ['user', 'full', 'public', 'consent'].find((each) => modes.has(each)) ?? latest.source.header.mode;
  const realms = new Set(inputs.map(({ source }) => source.header.realm_id)).size;
  return {
    ...latest.source.header, realmlift: VERSION, mode, realm: [...new Set(inputs.map(({ source }) => source.header.realm))].join('+'),
    // How many rows zerver_realm has: verify asks for it.
    options: { ...(realms === 1 ? {} : { realms }), ...(inputs.every(({ source: { header } }) => isWithoutFiles(header)) ? { files: WITHOUT_FILES } : {}), merged: inputs.map(({ source: { header } }) => ({ realm: header.realm, mode: header.mode, snapshot: header.snapshot, options: header.options })) },
  };
}

function consenting(inputs: readonly MergeInput[]): number[] {
  const users = new Set(inputs.flatMap(({ consent }) => (consent.kind === 'some' ? [...consent.users.ids()] : [])));
  return [...users].sort((a, b) => a - b);
}

async function writeReport({ directory, inputs, differences, stayed }: MergeContext): Promise<void> {
  await differences.finish();
  const reports = new Map<MergeInput, string>();
  for (const input of inputs) {
    if (!input.source.top.has(REPORT)) continue;
    reports.set(input, reportOf(input.index));
    await copyFile(join(input.source.directory, REPORT), join(directory, reportOf(input.index)));
  }
  const members: Member[] = [
    { key: 'realmlift', value: VERSION },
    { key: 'merged', value: inputs.map((input) => ({ index: input.index, directory: basename(input.source.directory), ...describe(input), report: reports.get(input) ?? null })) },
    { key: 'disagreements', value: Object.fromEntries(differences.counts) },
    { key: 'differences', part: join(RUN_DIRECTORY, 'differences.json'), rows: differences.total },
    { key: 'rows_left_out', value: stayed.length === 0 ? [] : [{ class: 'file', what: STAYED_ATTACHMENTS, reason: 'named by a message, and in none of the exports', count: stayed.length, rows: stayed }] },
  ];
  await assemble(directory, REPORT, members, 'indented');
}

function describe({ source: { header } }: MergeInput): object {
  return { realm: header.realm, realm_id: header.realm_id, mode: header.mode, taken_at: header.snapshot.taken_at };
}
