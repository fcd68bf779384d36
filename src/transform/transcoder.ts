/** The row path's WebAssembly (assembly/), as this thread has it: an instance for each COPY under way, which is used again for the next one. */
import { RealmliftError } from '../errors.js';
import { instance, MEMORY_PAGE, newMemory, type Memory } from '../webassembly.js';
import { COLUMNS, DESCRIPTOR_SIZE, EXCESS, GOOD, INPUT, INPUT_SIZE, OUTPUT, PREFIX, PREFIX_LENGTH, SHOWN, SHOWN_AT } from './layout.js';

/** Bytes that an instance begins with. */
const MEMORY = 4 * MEMORY_PAGE;

interface Global {
  readonly value: number;
}

/** What assembly/transcoder.ts exports. */
interface Exports {
  readonly rest: Global;
  readonly column: Global;
  readonly rows: Global;
  begin(columns: number, sink: number, boundary: number): void;
  push(length: number): number;
  end(): number;
}

/** Who is called while a chunk is read, for what its kind asks for. */
export interface Receiver {
  /** One of layout.ts. */
  readonly kind: number;
  /** Indexes of the columns whose values it sees, in its order: -1 stands for none. */
  readonly shown: readonly number[];
  /** The first one, of a segmented sink. */
  readonly boundary: number;
  /** Shows the current row's values, before bytes of it are written, or where it is wrong. */
  show(values: Float64Array): void;
  /** @param bytes valid only during the call */
  write(bytes: Uint8Array): void;
  /** @returns the next boundary */
  startFile(id: number): number;
  see(id: number, watched: number): void;
  endRow(): void;
}

/** A column as assembly/ has it described. */
export interface Descriptor {
  /** One of layout.ts. */
  readonly kind: number;
  /** What goes before its values; nothing for one that is not written. */
  readonly prefix: string;
  /** Which of the shown ones it is, or -1. */
  readonly shown: number;
}

const MODULE = new URL('./transcoder.wasm', import.meta.url);

export class Transcoder {
  static readonly #free: Transcoder[] = [];

  readonly #memory: Memory;
  readonly #exports: Exports;
  #bytes: Uint8Array;
  #shown = new Float64Array(0);
  #receiver: Receiver | undefined;

  private constructor() {
    this.#memory = memoryOfRows();
    this.#bytes = new Uint8Array(this.#memory.buffer);
    const receiver = (): Receiver => this.#receiver as Receiver;
    this.#exports = instance(MODULE, this.#memory, {
      output: {
        write: (length: number) => {
          receiver().show(this.#shown);
          receiver().write(this.#bytes.subarray(OUTPUT, OUTPUT + length));
        },
      },
      transcoder: {
        startFile: (id: number) => receiver().startFile(id),
        see: (id: number, watched: number) => receiver().see(id, watched),
        endRow: () => receiver().endRow(),
      },
    }) as Exports;
  }

  /**
   * One that nobody uses, for the rows of one COPY.
   *
   * @throws RealmliftError ADDRESS_SPACE
   */
  static take(columns: readonly Descriptor[], receiver: Receiver): Transcoder {
    const taken = Transcoder.#free.pop() ?? new Transcoder();
    taken.#describe(columns);
    taken.#shown = new Float64Array(taken.#memory.buffer, SHOWN, receiver.shown.length).fill(NaN);
    taken.#exports.begin(columns.length, receiver.kind, receiver.boundary);
    taken.#receiver = receiver;
    return taken;
  }

  /** After the COPY's end; one that has failed is not given back. */
  giveBack(): void {
    this.#receiver = undefined;
    Transcoder.#free.push(this);
  }

  /** The row path's state: rows completed, and the column that it is at. */
  get rows(): number {
    return this.#exports.rows.value;
  }

  get column(): number {
    return this.#exports.column.value;
  }

  /** Values of the current row that a dealt sink wants to see, as far as they have come; NaN for null, and for a column that there is not. */
  get shown(): Float64Array {
    return this.#shown;
  }

  /** Reads the next bytes of the COPY. @returns GOOD, or what is wrong with them, see layout.ts */
  push(chunk: Uint8Array): number {
    for (let at = 0; at < chunk.length; at += INPUT_SIZE) {
      const part = chunk.length <= INPUT_SIZE ? chunk : chunk.subarray(at, at + INPUT_SIZE);
      this.#bytes.set(part, INPUT + this.#exports.rest.value);
      const said = this.#exports.push(part.length);
      if (said !== GOOD) return said;
    }
    return GOOD;
  }

  /** Has what is left written. @returns whether the last row has come */
  end(): boolean {
    return this.#exports.end() !== 0;
  }

  #describe(columns: readonly Descriptor[]): void {
    const prefixes = columns.map(({ prefix }) => Buffer.from(prefix));
    const room = (bytes: number): number => Math.ceil(bytes / 8) * 8;
    const needed = COLUMNS + columns.length * DESCRIPTOR_SIZE + prefixes.reduce((sum, { length }) => sum + room(length), EXCESS);
    if (needed > this.#bytes.length) {
      this.#memory.grow(Math.ceil((needed - this.#bytes.length) / MEMORY_PAGE));
      this.#bytes = new Uint8Array(this.#memory.buffer);
    }
    const view = new DataView(this.#memory.buffer);
    let at = COLUMNS + columns.length * DESCRIPTOR_SIZE;
    columns.forEach(({ kind, shown }, index) => {
      const prefix = prefixes[index] as Buffer;
      const descriptor = COLUMNS + index * DESCRIPTOR_SIZE;
      view.setUint8(descriptor, kind);
      view.setInt32(descriptor + SHOWN_AT, shown, true);
      view.setInt32(descriptor + PREFIX, at, true);
      view.setInt32(descriptor + PREFIX_LENGTH, prefix.length, true);
      this.#bytes.set(prefix, at);
      at += room(prefix.length);
    });
  }
}

function memoryOfRows(): Memory {
  const memory = newMemory(MEMORY);
  if (memory !== undefined) return memory;
  throw new RealmliftError('ADDRESS_SPACE', 'transform', 'there is not enough address space for the rows', {
    hint: 'raise its limit (ulimit -v, LimitAS= of systemd): 10 GiB for each job are set aside, of which next to nothing is used; or set NODE_OPTIONS=--disable-wasm-trap-handler, with which they are not',
  });
}
