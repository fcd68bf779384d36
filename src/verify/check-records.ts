/** Checks `AREA/records.json`: each record must have its file, or the import dies with half a realm. */
import { lstatSync, type Stats } from 'node:fs';
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
  const plan = new RecordCheck(area, context, findings);
  const { value: records, damage } = readFile(join(context.directory, file), (source) => {
    scanner.open(source);
    return scanTables(scanner, (table) => (table === '' ? plan : undefined)).get('');
  });
  if (damage !== undefined) findings.add('error', file, undefined, damage);
  else if (records === undefined) findings.add('error', file, undefined, 'not a list of records');
  return { area, records, paths: plan.paths.share(), keys: plan.keys.share(), findings: findings.list() };
}

/** Checks the records of one area as they pass. */
class RecordCheck implements TablePlan {
  values = new Float64Array(FIRST_SECRET_SLOT);
  readonly texts: (string | undefined)[] = [undefined, undefined];
  readonly paths = new IdTable();
  readonly keys = new IdTable();
  readonly #area: Area;
  readonly #context: Context;
  readonly #findings: FindingList;
  /** Keys of secrets, the first in FIRST_SECRET_SLOT. */
  readonly #secrets: string[] = [];

  constructor(area: Area, context: Context, findings: FindingList) {
    [this.#area, this.#context, this.#findings] = [area, context, findings];
  }

  read(key: string): { reading: Reading; slot: number } {
    const { ours, keptSecrets } = this.#context.kind;
    if (Object.hasOwn(SLOTS, key)) return SLOTS[key]!;
    if (key === USER_KEYS[this.#area]) return { reading: 'number', slot: USER_SLOT };
    if (secretSeverity(recordsOf(this.#area), key, ours, keptSecrets) === undefined) return { reading: 'skip', slot: 0 };
    const slot = FIRST_SECRET_SLOT + this.#secrets.length;
    this.#secrets.push(key);
    const longer = new Float64Array(slot + 1);
    longer.set(this.values);
    this.values = longer;
    return { reading: 'filled', slot };
  }

  row(): void {
    const [path, key] = this.texts;
    const [size, realm, user] = this.values as unknown as [number, number, number];
    if (path === undefined || key === undefined) {
      this.#error('a record without path or s3_path');
      return;
    }
    if (this.paths.has(pathId(path))) this.#error('a path comes more than once', path);
    this.paths.add(pathId(path));
    this.keys.add(pathId(key));
    this.#checkFile(path, size);
    if (Number.isFinite(realm) && !this.#context.targets.realm.has(realm)) this.#error('realm_id points outside the export', `${path} -> ${realm}`);
    this.#secrets.forEach((secret, i) => {
      if (this.values[FIRST_SECRET_SLOT + i] === 1) this.#error(`the secret ${secret} has a value`, path);
    });
    this.#checkUser(path, user);
  }

  #checkFile(path: string, size: number): void {
    // The import joins the path to the area's folder: one that leads out of it would copy a file of the new server.
    if (path.startsWith('/') || path.split('/').includes('..')) {
      this.#error('the path leads out of the export', path);
      return;
    }
    const stat = statOf(join(this.#context.directory, this.#area, path));
    if (stat === undefined) this.#error('the file is missing', path);
    else if (!stat.isFile()) this.#error('not a file', path);
    else if (size !== NULL && Number.isFinite(size) && stat.size !== size) this.#error('the file has another size', `${path}: ${stat.size} bytes, recorded ${size}`);
  }

  #checkUser(path: string, user: number): void {
    const key = USER_KEYS[this.#area];
    const { kind, targets } = this.#context;
    if (kind.systemRealm) return;
    // An emoji's author may be unknown.
    const points = Number.isFinite(user) ? targets.user.has(user) : this.#area === 'emoji' || key === undefined;
    if (!points) this.#error(`${key} points outside the export`, `${path} -> ${Number.isFinite(user) ? user : '?'}`);
  }

  #error(message: string, example?: string): void {
    this.#findings.add('error', recordsOf(this.#area), undefined, message, example);
  }
}

/** Undefined where nothing is, and for a path that nothing can have. */
function statOf(path: string): Stats | undefined {
  if (path.includes('\0')) return undefined;
  try {
    return lstatSync(path, { throwIfNoEntry: false });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENAMETOOLONG') return undefined;
    throw error;
  }
}
