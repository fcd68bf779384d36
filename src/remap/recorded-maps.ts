/**
 * id_maps.json: old -> new id of every table, `{"zerver_realm":{"2":1001},…}`, one entry a line. It has an entry for every
 * message and usermessage, so it is written and read as a stream.
 */
import { closeSync, openSync, readSync } from 'node:fs';
import { PartFile, type FinishedFile } from '../package/part-file.js';
import { CLOSE_OBJECT, COLON, OPEN_OBJECT, QUOTE } from '../json/json-bytes.js';
import { JsonScanner } from '../json/json-scanner.js';
import { another } from '../json/json-walk.js';
import { RealmliftError } from '../errors.js';
import { FileSpace, TableSpace, UNCHANGED, type IdSpace } from './id-space.js';
import { PairFileWriter } from './pair-file.js';

export class IdMapsWriter {
  readonly #file: PartFile;
  #tables = 0;
  #entries = 0;

  constructor(path: string) {
    this.#file = new PartFile(path);
    this.#file.writeText('{');
  }

  table(name: string): void {
    this.#endTable();
    this.#file.writeText(`${this.#tables++ === 0 ? '' : ','}\n${JSON.stringify(name)}: {`);
    this.#entries = 0;
  }

  add(old: number, id: number): void {
    this.#file.writeText(`${this.#entries++ === 0 ? '' : ','}\n"${old}":${id}`);
  }

  async finish(): Promise<FinishedFile> {
    this.#endTable();
    this.#file.writeText('\n}\n');
    return this.#file.finish();
  }

  abandon(): void {
    this.#file.abandon();
  }

  #endTable(): void {
    if (this.#tables > 0) this.#file.writeText('\n}');
  }
}

/** The maps of an earlier remapping, to be applied again or, backwards, to undo it. */
export class RecordedMaps {
  readonly #path: string;
  readonly #backwards: boolean;

  constructor(path: string, backwards: boolean) {
    [this.#path, this.#backwards] = [path, backwards];
  }

  /** Pairs of a table by the old id, which after the first is also by the new; none when it has no map. */
  *pairs(table: string): Generator<[number, number], void> {
    const fd = openSync(this.#path, 'r');
    try {
      const scanner = new JsonScanner();
      scanner.open((target, offset) => readSync(fd, target, offset, target.length - offset, null), this.#path);
      scanner.expect(OPEN_OBJECT);
      for (let more = scanner.next() !== CLOSE_OBJECT; more; more = another(scanner, CLOSE_OBJECT)) {
        if (scanner.next() !== QUOTE) scanner.fail();
        const name = scanner.string();
        scanner.expect(COLON);
        if (name !== table) scanner.skipValue(scanner.next());
        else {
          scanner.expect(OPEN_OBJECT);
          if (scanner.next() === CLOSE_OBJECT) return;
          do {
            if (scanner.next() !== QUOTE) scanner.fail();
            const old = Number(scanner.string());
            scanner.expect(COLON);
            scanner.next();
            const id = scanner.number();
            if (!Number.isSafeInteger(old) || !Number.isSafeInteger(id)) throw new RealmliftError('ID_MAP', 'remap', 'id_maps.json has an entry that is no pair of ids', { table });
            yield this.#backwards ? [id, old] : [old, id];
          } while (another(scanner, CLOSE_OBJECT));
          return;
        }
      }
    } finally {
      closeSync(fd);
    }
  }

  tableSpace(table: string): IdSpace {
    const space = new TableSpace(false);
    for (const [from, to] of this.pairs(table)) space.set(from, to);
    return space.count === 0 ? UNCHANGED : space;
  }

  /** @param fd an empty temporary file */
  fileSpace(table: string, fd: number): IdSpace {
    const writer = new PairFileWriter(fd, table);
    let [first, last] = [Infinity, -Infinity];
    for (const [from, to] of this.pairs(table)) {
      writer.add(from, to);
      first = Math.min(first, to);
      last = Math.max(last, to);
    }
    return new FileSpace(writer.finish(), [first, last]);
  }
}
