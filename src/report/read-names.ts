/** What people called things, for those who asked to see it. */
import type { ReadableExport } from '../pipe/finished-export.js';
import { eachTableFile } from '../pipe/opened-tables.js';
import { RowFields } from '../json/row-fields.js';
import { REALM_FILE } from '../package/export-files.js';

export interface Names {
  readonly realm: string;
  readonly channels: ReadonlyMap<string, string>;
}

export function readNames(source: Pick<ReadableExport, 'directory' | 'top'> & { readonly header: { readonly realm: string } }): Names {
  let realm = source.header.realm;
  const channels = new Map<string, string>();
  const fields = new RowFields();
  const listed = source.top.get(REALM_FILE);
  for (const file of eachTableFile(source, listed === undefined ? [] : [listed])) {
    for (const row of file.rows('zerver_realm')) realm = fields.split(row).textOf('name') ?? realm;
    for (const row of file.rows('zerver_stream')) channels.set(String(fields.split(row).integerOf('id')), fields.textOf('name') ?? '');
  }
  return { realm, channels };
}
