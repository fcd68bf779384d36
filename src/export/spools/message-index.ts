/** What is remembered of each message of a set: its id, and the length of its row, so that files can be cut behind any thousandth. */
import { MESSAGES_PER_FILE } from '../../plan/message-files.js';
import type { Spool } from './spool-format.js';
import type { SpoolReader } from './spool-reader.js';
import type { SpoolSeries } from './spool-series.js';

/** The messages files of all targets, numbered through. */
export interface MessageFilesOfSet {
  /** By target: the number of its first file, and behind the last target how many there are. */
  readonly first: Float64Array;
  /** By file: the last id of a message in it. */
  readonly until: Float64Array;
}

/** Id (8 bytes) and length (4). */
const ENTRY = 12;

/** Writes the index of a target's messages as a group of its own, `targets` behind that of the rows. */
export class RowIndex {
  readonly #spools: SpoolSeries;
  readonly #targets: number;
  readonly #entry = Buffer.alloc(ENTRY);

  constructor(spools: SpoolSeries, targets: number) {
    this.#spools = spools;
    this.#targets = targets;
  }

  add(ordinal: number, id: number, length: number): void {
    this.#entry.writeDoubleLE(id, 0);
    this.#entry.writeUInt32LE(length, 8);
    this.#spools.writer.write(this.#targets + ordinal, this.#entry);
  }
}

/** Id and length of each of a target's messages in the spool, in the order of the rows. */
export function* indexedRows(reader: SpoolReader, spool: Spool, targets: number, ordinal: number): Generator<{ id: number; length: number }> {
  const found = reader.find(spool, targets + ordinal);
  if (found === undefined) return;
  const bytes = reader.bytes(found);
  for (let at = 0; at < bytes.length; at += ENTRY) yield { id: bytes.readDoubleLE(at), length: bytes.readUInt32LE(at + 8) };
}

/** The messages of all targets in one spool: id -> target. */
export function messagesIn(reader: SpoolReader, spool: Spool, targets: number): Map<number, number> {
  const messages = new Map<number, number>();
  for (let ordinal = 0; ordinal < targets; ordinal++) for (const { id } of indexedRows(reader, spool, targets, ordinal)) messages.set(id, ordinal);
  return messages;
}

/** Cuts the messages of each target into files. @param spools of consecutive ranges of ids */
export function filesOf(reader: SpoolReader, spools: readonly Spool[], targets: number): MessageFilesOfSet {
  const first = new Float64Array(targets + 1);
  const until: number[] = [];
  for (let ordinal = 0; ordinal < targets; ordinal++) {
    first[ordinal] = until.length;
    let rows = 0;
    let last = NaN;
    for (const spool of spools) {
      for (const { id } of indexedRows(reader, spool, targets, ordinal)) {
        if (rows > 0 && rows % MESSAGES_PER_FILE === 0) until.push(last);
        rows++;
        last = id;
      }
    }
    if (rows > 0) until.push(last);
  }
  first[targets] = until.length;
  return { first, until: Float64Array.from(until) };
}
