/** Rows of one group in several spools, each sorted by id, as one sorted run: usermessages that were made long after their messages. */
import type { SpooledGroup, SpoolReader } from './spool-reader.js';

const [QUOTE, BACKSLASH, OPEN, CLOSE, COMMA] = [0x22, 0x5c, 0x7b, 0x7d, 0x2c];

/** What rows begin with where the table's first column is its id, as Zulip makes them; upgraded servers may have it later. */
const ID = '{"id":';

interface Run {
  readonly rows: Generator<Buffer>;
  row: Buffer;
  id: number;
}

/** Rows of one group in spools of consecutive ranges, by id; nothing is looked into where each spool's rows follow the one's before. @param write takes the rows with commas between */
export function writeInOrder(reader: SpoolReader, groups: readonly SpooledGroup[], write: (bytes: Uint8Array) => void): void {
  if (!groups.every((each, index) => index === 0 || (groups[index - 1] as SpooledGroup).lastId < each.firstId)) return mergeById(reader, groups, write);
  for (const [index, each] of groups.entries()) {
    if (index > 0) write(Buffer.of(COMMA));
    for (const piece of reader.read(each)) write(piece);
  }
}

/** @param write takes the rows with commas between */
export function mergeById(reader: SpoolReader, groups: readonly SpooledGroup[], write: (bytes: Uint8Array) => void): void {
  const runs: Run[] = [];
  for (const group of groups) {
    const run: Run = { rows: rowsOf(reader, group), row: Buffer.alloc(0), id: 0 };
    if (advance(run)) runs.push(run);
  }
  const comma = Buffer.of(COMMA);
  for (let first = true; runs.length > 0; first = false) {
    let least = runs[0] as Run;
    for (const run of runs) if (run.id < least.id) least = run;
    if (!first) write(comma);
    write(least.row);
    if (!advance(least)) runs.splice(runs.indexOf(least), 1);
  }
}

function advance(run: Run): boolean {
  const next = run.rows.next();
  if (next.done === true) return false;
  run.row = next.value;
  run.id = idOf(run.row);
  return true;
}

function idOf(row: Buffer): number {
  if (row.toString('latin1', 0, ID.length) === ID) return parseInt(row.toString('latin1', ID.length, ID.length + 20), 10);
  return (JSON.parse(row.toString()) as { id: number }).id;
}

/** The rows one by one; pieces of the reader cut them anywhere. */
export function* rowsOf(reader: SpoolReader, group: SpooledGroup): Generator<Buffer> {
  let depth = 0;
  let quoted = false;
  let escaped = false;
  let begun: Buffer[] = [];
  for (const shared of reader.read(group)) {
    // Several groups are read in turn.
    const piece = Buffer.from(shared);
    let start = depth === 0 ? -1 : 0;
    for (let at = 0; at < piece.length; at++) {
      const byte = piece[at];
      if (quoted) {
        if (escaped) escaped = false;
        else if (byte === BACKSLASH) escaped = true;
        else if (byte === QUOTE) quoted = false;
      } else if (byte === QUOTE) quoted = true;
      else if (byte === OPEN) {
        if (depth++ === 0) start = at;
      } else if (byte === CLOSE && --depth === 0) {
        const end = piece.subarray(start, at + 1);
        yield begun.length === 0 ? end : Buffer.concat([...begun, end]);
        begun = [];
      }
    }
    if (depth > 0) begun.push(piece.subarray(start));
  }
}
