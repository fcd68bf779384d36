/** Names of a backup's parts. They tell no more than the names of tables, and under private names nothing but their number. */
import { RealmliftError } from '../../errors.js';

/** Longest piece of a table's name that a part's name repeats. */
const LONGEST = 100;

export class PartNames {
  readonly #isPrivate: boolean;
  readonly #suffix: string;
  #count = 0;

  /** @param suffix of what is compressed, e.g. gz */
  constructor(isPrivate: boolean, suffix: string) {
    this.#isPrivate = isPrivate;
    this.#suffix = suffix;
  }

  get contents(): string {
    return this.#name(`contents.json.${this.#suffix}.age`);
  }

  schema(section: string): string {
    return this.#name(`schema/${section}.sql.${this.#suffix}.age`);
  }

  /**
   * @param table ordinal number of the table: names that differ only in characters unfit for a file's name stay apart
   * @param range ordinal number of the range of its rows
   */
  rows(table: number, { schema, name }: { readonly schema: string; readonly name: string }, range: number): string {
    const readable = `${schema}.${name}`.replace(/[^A-Za-z0-9_.-]/g, '_').slice(0, LONGEST);
    return this.#name(`rows/${padded(table, 4)}-${readable}.${padded(range, 4)}.copy.${this.#suffix}.age`);
  }

  largeObjects(range: number): string {
    return this.#name(`large-objects/${padded(range, 4)}.copy.${this.#suffix}.age`);
  }

  files(pack: number): string {
    return this.#name(`files/${padded(pack, 6)}.tar.${this.#suffix}.age`);
  }

  #name(readable: string): string {
    this.#count++;
    return this.#isPrivate ? `part-${padded(this.#count, 6)}.age` : readable;
  }
}

function padded(number: number, digits: number): string {
  return String(number).padStart(digits, '0');
}

const BACKUP = /^backup-\d{8}T\d{6}\.\d{6}Z-[0-9a-f]{6}$/;

/**
 * Directory of a backup: when its snapshot was taken (ISO 8601) and the beginning of its id. Sorts by time, to the microsecond: two backups of
 * a small database are taken within a second.
 */
export function backupName(takenAt: string, id: string): string {
  const [seconds = '', fraction = ''] = takenAt.replace(/Z$/, '').replace(/[-:]/g, '').split('.');
  const name = `backup-${seconds}.${fraction.padEnd(6, '0')}Z-${id.slice(0, 6)}`;
  if (!isBackupName(name)) throw new RealmliftError('CLOCK', 'backup', `the server's clock says ${takenAt}`);
  return name;
}

export function isBackupName(name: string): boolean {
  return BACKUP.test(name);
}
