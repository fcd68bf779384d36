/** Opens what the import would read: an export of realmlift, held to its manifest, or one that Zulip itself wrote and that has none. */
import { existsSync, lstatSync } from 'node:fs';
import { join } from 'node:path';
import { RealmliftError } from '../errors.js';
import { areaOf, MESSAGES_FILE, MIGRATION_STATUS, REALM_FILE, recordsOf, TABLE_FILES } from '../package/export-files.js';
import { parsed } from '../json/parsed.js';
import { walk } from '../package/directory-walk.js';
import { MANIFEST } from '../package/manifest.js';
import { refuseParent } from '../package/exports-below.js';
import { refusePacked } from '../package/packed-export.js';
import { SIDE_FILES } from '../package/side-files.js';
import { byNumber, openFinishedExport, readTop, type ReadableExport } from './finished-export.js';
import { eachRow } from './each-row.js';
import { eachTableFile } from './opened-tables.js';
import { type Expected } from './table-file.js';

/** @throws RealmliftError NOT_AN_EXPORT, MANIFEST_DAMAGED, EXPORT_CHANGED, EXPORT_PACKED, JSON_DAMAGED */
export async function openReadableExport(directory: string): Promise<ReadableExport> {
  if (existsSync(join(directory, MANIFEST))) return openFinishedExport(directory);
  refusePacked(directory);
  refuseParent(directory);
  return openUnlisted(directory);
}

function openUnlisted(directory: string): ReadableExport {
  const top = new Map<string, Expected>();
  const messages: Expected[] = [];
  const areaFiles: Expected[] = [];
  for (const { path, isFile } of walk(directory)) {
    if (SIDE_FILES.has(path)) continue;
    if (!isFile) throw new RealmliftError('NOT_AN_EXPORT', 'verify', `${path} is no ordinary file`);
    const file = { path, size: lstatSync(join(directory, path)).size };
    const area = areaOf(path);
    if (MESSAGES_FILE.test(path)) messages.push(file);
    else if (area === undefined) top.set(path, file);
    else if (path !== recordsOf(area)) areaFiles.push(file);
  }
  if (!TABLE_FILES.slice(0, 2).some((name) => top.has(name))) throw new RealmliftError('NOT_AN_EXPORT', 'verify', `${directory} has neither realm.json nor user.json`);
  return { directory, header: headerOf({ directory, top }), top, messages: byNumber(messages), areaFiles: () => areaFiles };
}

/** What a manifest would say, out of realm.json and migration_status.json. */
function headerOf(source: Pick<ReadableExport, 'directory' | 'top'>): ReadableExport['header'] {
  let realm = '';
  const listed = source.top.get(REALM_FILE);
  if (listed !== undefined) {
    for (const fields of eachRow(eachTableFile(source, [listed]), 'zerver_realm')) realm = fields.textOf('string_id') ?? '';
  }
  const status = readTop(source, MIGRATION_STATUS);
  const version = status === undefined ? undefined : (parsed(status) as { zulip_version?: unknown } | undefined)?.zulip_version;
  return { realm, zulip_version: typeof version === 'string' ? version : null, options: {} };
}
