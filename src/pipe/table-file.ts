/**
 * A JSON file of a finished export, read row by row as bytes: values are never made, so that numbers beyond 2^53, escapes and
 * the spelling of floats stay what they are.
 *
 * The file is read twice: once to its end, for its SHA-256 and for where each table begins, then table by table
 * in whatever order is wanted. So damage is known before the first row is used, and a table can be read again.
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { asRealmliftError, RealmliftError } from '../errors.js';
import { ioReason, isForbidden } from '../io-reason.js';
import { eachTable } from '../json/each-table.js';
import { CLOSE_ARRAY, OPEN_ARRAY, OPEN_OBJECT } from '../json/json-bytes.js';
import { ORDINARY, Utf8Check, readOpened } from '../json/file-input.js';
import { JsonScanner, type ByteSource } from '../json/json-scanner.js';
import { another, eachElement } from '../json/json-walk.js';

/** What the manifest says of a file. */
export interface Expected {
  readonly path: string;
  readonly size: number;
  /** Undefined where no manifest says it, as in exports that Zulip itself wrote. */
  readonly sha256?: string;
}

interface Section {
  readonly offset: number;
  readonly rows: number;
}

/** Bytes read at once. */
const BUFFER = 128 * 1024;

export class TableFile {
  readonly #fd: number;
  readonly #path: string;
  /** Tables in the order of the file. */
  readonly #sections: ReadonlyMap<string, Section>;
  /** Values beside the tables, such as `"import_source": "zulip"`, as JSON. */
  readonly constants: ReadonlyMap<string, string>;
  #open = true;

  private constructor(fd: number, path: string, sections: ReadonlyMap<string, Section>, constants: ReadonlyMap<string, string>) {
    this.#fd = fd;
    this.#path = path;
    this.#sections = sections;
    this.constants = constants;
  }

  /**
   * @param file path of the file
   * @param expected its entry in the manifest
   * @throws RealmliftError EXPORT_CHANGED when the file is not what the manifest says, JSON_DAMAGED when it is no tables of rows
   */
  static open(file: string, expected: Expected): TableFile {
    const fd = openFile(file, expected.path);
    try {
      if (fstatSync(fd).size !== expected.size) throw changed(expected.path, 'its size is another');
      const utf8 = new Utf8Check();
      const { size, sha256, value, damage = '' } = readOpened(fd, index, (chunk) => utf8.update(chunk));
      // The hash explains most damage better than the scanner's complaint.
      if (size !== expected.size || (expected.sha256 !== undefined && sha256 !== expected.sha256)) throw changed(expected.path, 'its content is another');
      // A loader behind the pipe would take it for something else, or stop half-way.
      if (!utf8.finish()) throw new RealmliftError('JSON_DAMAGED', 'verify', `${expected.path}: not valid UTF-8`);
      if (value === undefined) throw new RealmliftError('JSON_DAMAGED', 'verify', `${expected.path}: ${damage}`);
      return new TableFile(fd, expected.path, value.sections, value.constants);
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  }

  /** Its path in the export. */
  get name(): string {
    return this.#path;
  }

  /** Names of the tables, in the order of the file. */
  get tables(): string[] {
    return [...this.#sections.keys()];
  }

  /** Rows of a table; 0 when the file does not have it. */
  count(table: string): number {
    return this.#sections.get(table)?.rows ?? 0;
  }

  /** The rows of a table in the order of the file; none when it is not there. Each holds until the next is asked for. */
  *rows(table: string): Generator<Buffer, void> {
    const section = this.#sections.get(table);
    if (section === undefined) return;
    let position = section.offset;
    const scanner = new JsonScanner(BUFFER);
    scanner.open((target, offset) => {
      const got = readSync(this.#fd, target, offset, target.length - offset, position);
      position += got;
      return got;
    });
    scanner.expect(OPEN_ARRAY);
    if (scanner.next() === CLOSE_ARRAY) return;
    let read = 0;
    do {
      const first = scanner.next();
      if (first !== OPEN_OBJECT) throw new RealmliftError('JSON_DAMAGED', 'verify', `${this.#path}: a row that is no object`, { table });
      yield scanner.takeValue(first);
      read++;
    } while (another(scanner, CLOSE_ARRAY));
    if (read !== section.rows) throw changed(this.#path, 'it was changed while it was read');
  }

  close(): void {
    if (this.#open) closeSync(this.#fd);
    this.#open = false;
  }
}

interface Index {
  readonly sections: Map<string, Section>;
  readonly constants: Map<string, string>;
}

/** Where the tables are. */
function index(source: ByteSource): Index {
  const scanner = new JsonScanner(BUFFER);
  scanner.open(source);
  const sections = new Map<string, Section>();
  const constants = new Map<string, string>();
  const refuseRepeated = (name: string): void => {
    if (sections.has(name) || constants.has(name)) scanner.fail('a table that comes twice');
  };
  eachTable(scanner, (table) => {
    refuseRepeated(table);
    sections.set(table, section(scanner));
  }, (name, first) => {
    refuseRepeated(name);
    constants.set(name, scanner.takeValue(first).toString('utf8'));
  });
  return { sections, constants };
}

function section(scanner: JsonScanner): Section {
  const { offset } = scanner;
  return { offset, rows: eachElement(scanner, (first) => { scanner.skipValue(first); }) };
}

function openFile(file: string, path: string): number {
  try {
    return openSync(file, ORDINARY);
  } catch (cause) {
    throw changed(path, `it cannot be opened: ${ioReason(cause)}`, cause);
  }
}

/** The error of an export that is not what its manifest says. @param cause where the file could not be read: one that this user may not read is told as such */
export function changed(path: string, what: string, cause?: unknown): RealmliftError {
  // Of what nobody could look at it is not known.
  if (isForbidden(cause)) return asRealmliftError(cause, 'verify');
  return new RealmliftError('EXPORT_CHANGED', 'verify', `${path} is not as manifest.json says: ${what}`, {
    hint: 'the export was changed or damaged since it was written: fetch it again, or export again', cause,
  });
}
