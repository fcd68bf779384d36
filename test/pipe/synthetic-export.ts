/** Finished exports made of given rows, with a manifest that fits: for tests on data that no sample has. */
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { comparePaths, writeManifest, type ManifestFile, type ManifestHeader } from '../../src/package/manifest.js';

export type Row = Record<string, unknown>;
export type Tables = Record<string, Row[]>;

export interface SyntheticExport {
  readonly header?: Partial<ManifestHeader>;
  /** realm.json, or user.json in mode `user`. */
  readonly realm: Tables;
  readonly analytics?: Tables;
  readonly attachment?: Tables;
  /** One entry a messages file. */
  readonly messages: readonly Tables[];
  /** Path, such as `uploads/2/ab/x.png`, to content. */
  readonly files?: Readonly<Record<string, string>>;
  /** By area; the row's `path` is that of the file below the area. */
  readonly records?: Readonly<Record<string, readonly Row[]>>;
  readonly consenting?: readonly number[];
  readonly report?: object;
}

export const HEADER: ManifestHeader = {
  format: 1, realmlift: '0.1.0', realm: 'acme', realm_id: 2, mode: 'full', zulip_version: '11.0-dev+git',
  snapshot: { taken_at: '2026-01-01T00:00:00.000000Z', id: '00000003-0000001B-1', server: '150018' }, options: {},
};

/** Writes the export below `directory`, which is made. */
export async function writeSynthetic(directory: string, given: SyntheticExport): Promise<string> {
  const header = { ...HEADER, ...given.header };
  const content = new Map<string, { text: string; rows?: Record<string, number> }>();
  const tables = (name: string, of: Tables): void => {
    content.set(name, { text: JSON.stringify(of), rows: Object.fromEntries(Object.entries(of).map(([table, rows]) => [table, rows.length])) });
  };
  tables(header.mode === 'user' ? 'user.json' : 'realm.json', given.realm);
  if (given.analytics !== undefined) tables('analytics.json', given.analytics);
  if (given.attachment !== undefined) tables('attachment.json', given.attachment);
  given.messages.forEach((each, index) => tables(`messages-${String(index + 1).padStart(6, '0')}.json`, each));
  if (given.consenting !== undefined) content.set('consented_user_ids.json', { text: JSON.stringify(given.consenting) });
  if (given.report !== undefined) content.set('report.json', { text: JSON.stringify(given.report) });
  for (const [path, text] of Object.entries(given.files ?? {})) content.set(path, { text });
  for (const [area, records] of Object.entries(given.records ?? {})) {
    const lines = [...records].sort((a, b) => comparePaths(String(a.path), String(b.path))).map((record) => JSON.stringify(record));
    content.set(`${area}/records.json`, { text: lines.length === 0 ? '[]\n' : `[\n${lines.join(',\n')}\n]\n` });
  }
  const files: ManifestFile[] = [];
  for (const path of [...content.keys()].sort(comparePaths)) {
    const { text, rows } = content.get(path) as { text: string; rows?: Record<string, number> };
    mkdirSync(dirname(join(directory, path)), { recursive: true });
    writeFileSync(join(directory, path), text);
    files.push({ path, size: Buffer.byteLength(text), sha256: createHash('sha256').update(text).digest('hex'), ...(rows === undefined ? {} : { rows }) });
  }
  await writeManifest(join(directory, 'manifest.json'), header, files);
  return directory;
}
