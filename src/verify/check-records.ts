/** Checks `AREA/records.json`: each record must have its file, or the import dies with half a realm. */
import { lstatSync } from 'node:fs';
import { join } from 'node:path';
import { recordsOf, type Area } from '../package/export-files.js';
import type { Context } from './export-context.js';
import { readFile } from '../json/file-input.js';
import { FindingList, type Finding } from './findings.js';
import { IdTable, pathId, type SharedIds } from '../ids/id-table.js';
import type { JsonScanner } from '../json/json-scanner.js';
import { secretSeverity } from './secret-keys.js';
import { NULL, scanTables, type Reading, type TablePlan } from './table-scanner.js';

export interface RecordsResult {
  area: Area;
  /** How many; undefined when the file cannot be read to its end. */
  records: number | undefined;
  /** pathId of the `path` of each record: the files that may be there. */
  paths: SharedIds;
  /** pathId of the `s3_path` of each record. */
  keys: SharedIds;
  findings: Finding[];
}

/** Whose ids the records hold, and whether the import maps it: an icon's `user_profile_id` is of no consequence. */
const USER_KEYS: Readonly<Record<Area, string | undefined>> = {
  uploads: 'user_profile_id', avatars: 'user_profile_id', emoji: 'author', realm_icons: undefined,
};
const SLOTS: Readonly<Record<string, { reading: Reading; slot: number }>> = {
  path: { reading: 'text', slot: 0 },
  s3_path: { reading: 'text', slot: 1 },
  size: { reading: 'number', slot: 0 },
  realm_id: { reading: 'number', slot: 1 },
};
const USER_SLOT = 2;
const FIRST_SECRET_SLOT = 3;

export function checkRecords(area: Area, scanner: JsonScanner, context: Context): RecordsResult {
  const file = recordsOf(area);
  const findings = new FindingList();
  const paths = new IdTable();
  const keys = new IdTable();
  const secrets: string[] = [];
  const problem = (message: string, example?: string): void => { findings.add('error', file, undefined, message, example); };

  const plan: TablePlan = {
    values: new Float64Array(FIRST_SECRET_SLOT),
    texts: [undefined, undefined],
    read(key) {
      if (Object.hasOwn(SLOTS, key)) return SLOTS[key]!;
      if (key === USER_KEYS[area]) return { reading: 'number', slot: USER_SLOT };
      if (secretSeverity(file, key, context.kind.ours, context.kind.keptSecrets) === undefined) return { reading: 'skip', slot: 0 };
      secrets.push(key);
      const longer = new Float64Array(FIRST_SECRET_SLOT + secrets.length);
      longer.set(plan.values);
      plan.values = longer;
      return { reading: 'filled', slot: FIRST_SECRET_SLOT + secrets.length - 1 };
    },
    row() {
      const [path, key] = plan.texts;
      const [size, realm, user] = plan.values as unknown as [number, number, number];
      if (path === undefined || key === undefined) {
        problem('a record without path or s3_path');
        return;
      }
      if (paths.has(pathId(path))) problem('a path comes more than once', path);
      paths.add(pathId(path));
      keys.add(pathId(key));
      checkFile(path, size);
      if (Number.isFinite(realm) && !context.targets.realm.has(realm)) problem('realm_id points outside the export', `${path} -> ${realm}`);
      // An emoji's author may be unknown.
      secrets.forEach((secret, i) => {
        if (plan.values[FIRST_SECRET_SLOT + i] === 1) problem(`the secret ${secret} has a value`, path);
      });
      if (context.kind.systemRealm) return;
      if (Number.isFinite(user) ? !context.targets.user.has(user) : area !== 'emoji' && USER_KEYS[area] !== undefined) {
        problem(`${USER_KEYS[area]} points outside the export`, `${path} -> ${Number.isFinite(user) ? user : '?'}`);
      }
    },
  };

  function checkFile(path: string, size: number): void {
    // The import joins the path to the area's folder: one that leads out of it would copy a file of the new server.
    if (path.startsWith('/') || path.split('/').includes('..')) {
      problem('the path leads out of the export', path);
      return;
    }
    const stat = lstatSync(join(context.directory, area, path), { throwIfNoEntry: false });
    if (stat === undefined) problem('the file is missing', path);
    else if (!stat.isFile()) problem('not a file', path);
    else if (size !== NULL && Number.isFinite(size) && stat.size !== size) problem('the file has another size', `${path}: ${stat.size} bytes, recorded ${size}`);
  }

  const read = readFile(join(context.directory, file), (source) => {
    scanner.open(source);
    return scanTables(scanner, (table) => (table === '' ? plan : undefined)).get('');
  });
  if (read.damage !== undefined) problem(read.damage);
  else if (read.value === undefined) problem('not a list of records');
  return { area, records: read.value, paths: paths.share(), keys: keys.share(), findings: findings.list() };
}
