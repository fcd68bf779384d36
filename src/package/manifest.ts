/**
 * `manifest.json`: what an export directory holds, so that anybody can prove later that nothing was lost or changed.
 *
 * A realm can have a million uploads, so the list of files is never held in memory: it is the last key of the object,
 * one entry per line, sorted by path, and is written and read as a stream. The whole is ordinary JSON for other readers.
 *
 * ```
 * {
 *   "format": 1,
 *   …
 *   "files": [
 *     {"path":"analytics.json","size":812,"sha256":"…","rows":{"analytics_realmcount":5}},
 *     …
 *   ]
 * }
 * ```
 */
import { renameSync } from 'node:fs';
import { RealmliftError } from '../errors.js';
import { lines } from './lines.js';
import { PartFile } from './part-file.js';

/** One file of an export. */
export interface ManifestFile {
  /** Relative to the export directory, with `/`. */
  path: string;
  /** In bytes. */
  size: number;
  /** In lower-case hex. */
  sha256: string;
  /** Rows per table; only of files that hold tables. */
  rows?: Record<string, number>;
}

/** What `options.files` says of an export of rows alone. */
export const WITHOUT_FILES = 'none';

/** Was it made with --no-files? */
export function isWithoutFiles({ options }: Pick<ManifestHeader, 'options'>): boolean {
  return options['files'] === WITHOUT_FILES;
}

/** Everything in a manifest but the list of files. */
export interface ManifestHeader {
  format: 1;
  /** The version of realmlift that wrote the export. */
  realmlift: string;
  /** The realm's `string_id`. */
  realm: string;
  realm_id: number;
  /** `full`, `consent`, `public` or `user`. */
  mode: string;
  /** As migration_status.json says it; null where the version of the server has no such file. */
  zulip_version: string | null;
  snapshot: {
    /** ISO 8601. */
    taken_at: string;
    /** What `pg_export_snapshot()` returned. */
    id: string;
    /** The server's `server_version`. */
    server: string;
  };
  /** The choices that shaped the export, as the command line names them. */
  options: Record<string, unknown>;
  /** The earlier export that unchanged files were taken over from: its snapshot, and the SHA-256 of its manifest. */
  base?: { taken_at: string; snapshot: string; manifest_sha256: string };
}

/** Its name at the top of an export: one without it is not whole. */
export const MANIFEST = 'manifest.json';

const FILES_START = '  "files": [';
const FILES_END = '  ]';
/** Lines are joined to blocks of about this many characters: one write per line would be most of the cost. */
const BLOCK = 64 * 1024;

/**
 * The order of the list: by code point, which is also the order of the UTF-8 bytes (JavaScript's own comparison puts
 * characters beyond U+FFFF before U+E000).
 */
export function comparePaths(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x === y) continue;
    const xIsSurrogate = x >= 0xd800 && x <= 0xdfff;
    const yIsSurrogate = y >= 0xd800 && y <= 0xdfff;
    if (xIsSurrogate !== yIsSurrogate) return xIsSurrogate ? 1 : -1;
    return x - y;
  }
  return a.length - b.length;
}

/**
 * Writes a manifest and, unless told otherwise, flushes it to disk. `entries` must come sorted by {@link comparePaths}, each path once.
 *
 * @throws RealmliftError `MANIFEST_ORDER` when they do not.
 */
export async function writeManifest(
  path: string, header: ManifestHeader, entries: AsyncIterable<ManifestFile> | Iterable<ManifestFile>, flush = true,
): Promise<void> {
  const file = new PartFile(path);
  try {
    for await (const text of manifestText(header, entries)) file.writeText(text);
    await file.finish(flush);
  } catch (error) {
    file.abandon();
    throw error;
  }
}

/** Writes the entry of one file anew, which was changed on purpose. @param flush as of writeManifest */
export async function amendManifest(path: string, changed: ManifestFile, flush = true): Promise<void> {
  const { header, files } = await readManifest(path);
  const entries = async function* (): AsyncGenerator<ManifestFile> {
    for await (const file of files) yield file.path === changed.path ? changed : file;
  };
  const partial = `${path}.partial`;
  await writeManifest(partial, header, entries(), flush);
  renameSync(partial, path);
}

async function* manifestText(
  header: ManifestHeader, entries: AsyncIterable<ManifestFile> | Iterable<ManifestFile>,
): AsyncGenerator<string> {
  let block = `${JSON.stringify(header, null, 2).slice(0, -2)},\n${FILES_START}`;
  let last: string | undefined;
  for await (const entry of entries) {
    if (last !== undefined && comparePaths(last, entry.path) >= 0) {
      throw new RealmliftError('MANIFEST_ORDER', 'package', `${entry.path} comes after ${last} in the list of files`);
    }
    const { path, size, sha256, rows } = entry;
    block += `${last === undefined ? '' : ','}\n    ${JSON.stringify({ path, size, sha256, rows })}`;
    last = path;
    if (block.length >= BLOCK) {
      yield block;
      block = '';
    }
  }
  yield `${block}\n${FILES_END}\n}\n`;
}

/**
 * Reads a manifest that {@link writeManifest} wrote: the header at once, the files as they are iterated.
 *
 * @throws RealmliftError `MANIFEST_DAMAGED`, from the call or from the iteration, when it is not such a file or is cut short.
 */
// eslint-disable-next-line @typescript-eslint/require-await -- what comes from the disk needs no waiting
export async function readManifest(path: string): Promise<{ header: ManifestHeader; files: AsyncGenerator<ManifestFile> }> {
  let text = '';
  for (const line of lines(path, lineTooLong)) {
    if (line === FILES_START) return { header: parseHeader(text), files: manifestFiles(path) };
    text += line;
    // A file without line breaks is no manifest of ours: do not gather it.
    if (text.length > 1024 * 1024) break;
  }
  throw damaged('it has no list of files');
}

// eslint-disable-next-line @typescript-eslint/require-await -- as above
async function* manifestFiles(path: string): AsyncGenerator<ManifestFile> {
  let place: 'head' | 'files' | 'end' | 'behind' = 'head';
  let last: string | undefined;
  for (const line of lines(path, lineTooLong)) {
    if (place === 'head') place = line === FILES_START ? 'files' : 'head';
    else if (place === 'files' && line === FILES_END) place = 'end';
    else if (place === 'end' && line === '}') place = 'behind';
    else if (place !== 'files') throw damaged('something else follows its list of files');
    else {
      const entry = parseEntry(line);
      if (last !== undefined && comparePaths(last, entry.path) >= 0) throw damaged(`${entry.path} is out of order`);
      last = entry.path;
      yield entry;
    }
  }
  if (place !== 'behind') throw damaged('it is cut short');
}

function parseHeader(text: string): ManifestHeader {
  const header = parse(`${text.replace(/,\s*$/, '')}}`, 'its head') as Partial<ManifestHeader>;
  if (header.format !== 1) throw damaged('its format is not 1');
  if (typeof header.realm !== 'string' || typeof header.realm_id !== 'number' || typeof header.mode !== 'string') {
    throw damaged('it does not name the realm and the mode');
  }
  if (header.zulip_version !== null && typeof header.zulip_version !== 'string') throw damaged('it does not say of which version of Zulip the export is, nor that it says none (zulip_version: null)');
  if (typeof header.snapshot?.taken_at !== 'string') throw damaged('it does not say when the snapshot was taken');
  if (typeof header.options !== 'object' || header.options === null) throw damaged('it does not say by which options the export was made');
  return header as ManifestHeader;
}

function parseEntry(line: string): ManifestFile {
  const entry = parse(line.replace(/,$/, ''), 'its list of files') as Partial<ManifestFile>;
  const { path, size, sha256 } = entry;
  if (typeof path !== 'string' || !Number.isSafeInteger(size) || typeof sha256 !== 'string' || !/^[0-9a-f]{64}$/.test(sha256)) {
    throw damaged('an entry lacks its path, size or SHA-256');
  }
  return entry as ManifestFile;
}

function parse(text: string, what: string): object {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw damaged(`${what} is not JSON`);
  }
  if (typeof value !== 'object' || value === null) throw damaged(`${what} is not an object`);
  return value;
}

function damaged(why: string): RealmliftError {
  return new RealmliftError('MANIFEST_DAMAGED', 'package', `manifest.json cannot be read: ${why}`);
}

function lineTooLong(): RealmliftError {
  return damaged('a line is too long');
}
