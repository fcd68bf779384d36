/**
 * Text and JSON out of CSV: the server doubles quotes and puts a field in quotes where it holds a comma, a quote, a
 * carriage return or a newline, or is empty (an unquoted empty field is NULL). Fields are streamed, whatever their size.
 * https://www.postgresql.org/docs/current/sql-copy.html
 */
import { COMMA, NEWLINE, OUTCOME, QUOTE, ZERO, type Outcome, type Tape } from './tape.js';

const BACKSLASH = 0x5c;
const CARRIAGE_RETURN = 0x0d;

/** Where we are in a CSV field: before it, in a bare one, in a quoted one, behind a quote in a quoted one (the end, or half of a quote). */
const CSV = { start: 0, bare: 1, quoted: 2, quote: 3 } as const;

/** Bytes that one byte of text may become: \u00XX. */
const LONGEST_ESCAPE = 6;

/** In the tables below: 0 = copy the byte; STOP = a byte that means something to CSV; else the letter behind a backslash. */
const STOP = 1;
const SMALL_U = 0x75;

/** One byte four times over, for tests of four bytes at a time. */
const ONES = 0x01010101;
const SPACES = 0x20202020;
const QUOTES = 0x22222222;
const COMMAS = 0x2c2c2c2c;
const BACKSLASHES = 0x5c5c5c5c;
const HIGH_BITS = 0x80808080 | 0;

const HEX = Buffer.from('0123456789abcdef');

const QUOTED_TEXT = escapes([QUOTE]);
const BARE_TEXT = escapes([QUOTE, COMMA, NEWLINE, CARRIAGE_RETURN]);
const QUOTED_JSON = stops([QUOTE]);
const BARE_JSON = stops([QUOTE, COMMA, NEWLINE, CARRIAGE_RETURN]);

function stops(bytes: readonly number[]): Uint8Array {
  const table = new Uint8Array(256);
  for (const byte of bytes) table[byte] = STOP;
  return table;
}

/** Escapes of JSON (RFC 8259, 7): the two-character ones where they exist. */
function escapes(bytes: readonly number[]): Uint8Array {
  const table = new Uint8Array(256).fill(SMALL_U, 0, 0x20);
  for (const [byte, letter] of [[0x08, 'b'], [0x09, 't'], [0x0a, 'n'], [0x0c, 'f'], [0x0d, 'r'], [BACKSLASH, '\\']] as const) table[byte] = letter.charCodeAt(0);
  for (const byte of bytes) table[byte] = STOP;
  return table;
}

/** A JSON string. */
export function writeText(tape: Tape): Outcome {
  if (tape.state === CSV.start) {
    tape.out[tape.length++] = QUOTE;
    open(tape);
  }
  const outcome = writeField(tape, BARE_TEXT, QUOTED_TEXT, true);
  if (outcome === OUTCOME.done) {
    tape.reserve(1);
    tape.out[tape.length++] = QUOTE;
  }
  return outcome;
}

/** The value's own bytes; an empty one is no JSON, and the server has none. */
export function writeJson(tape: Tape): Outcome {
  const start = tape.at;
  if (tape.state === CSV.start) open(tape);
  const outcome = writeField(tape, BARE_JSON, QUOTED_JSON, false);
  tape.count += tape.at - start;
  const empty = tape.state === CSV.quote && tape.count === 2;
  return outcome === OUTCOME.done && empty ? OUTCOME.malformed : outcome;
}

/** Reads a field of any kind and writes nothing. */
export function skipField(tape: Tape): Outcome {
  const { source, end } = tape;
  if (tape.state === CSV.start) open(tape);
  for (let { at } = tape; at < end; at++) {
    const byte = source[at] as number;
    if (tape.state === CSV.quoted) {
      if (byte === QUOTE) tape.state = CSV.quote;
    } else if (tape.state === CSV.quote && byte === QUOTE) {
      tape.state = CSV.quoted;
    } else if (tape.state === CSV.quote || byte === COMMA || byte === NEWLINE) {
      tape.at = at;
      return OUTCOME.done;
    } else if (BARE_JSON[byte] === STOP) {
      return OUTCOME.malformed;
    }
  }
  tape.at = end;
  return OUTCOME.cut;
}

function open(tape: Tape): void {
  const quoted = tape.source[tape.at] === QUOTE;
  tape.state = quoted ? CSV.quoted : CSV.bare;
  if (quoted) tape.at++;
}

/**
 * Hot path: message content and rendered_content.
 *
 * Four bytes at a time where none of them means anything, else byte by byte through the table. Measured on prose, HTML and
 * plain text (one thread, Node 20): table alone 0.6-0.7 GB/s, four at a time 1.25-1.8 GB/s; JSON.stringify of latin1
 * strings 0.6 GB/s; finding runs and copying them with Buffer.copy 0.4-0.9 GB/s.
 */
function writeField(tape: Tape, bare: Uint8Array, quoted: Uint8Array, escapeQuotes: boolean): Outcome {
  const { source, sourceWords, out, outWords, end } = tape;
  const inQuotes = tape.state !== CSV.bare;
  const table = inQuotes ? quoted : bare;
  // In quotes a comma means nothing; a quote does in any case.
  const comma = inQuotes ? QUOTES : COMMAS;
  let { at } = tape;
  while (at < end) {
    tape.reserve(64 * LONGEST_ESCAPE);
    let to = tape.length;
    // As far as the room suffices, whatever the bytes are.
    const stop = Math.min(end, at + Math.floor((out.length - to) / LONGEST_ESCAPE));
    const lastWord = stop - 4;
    let outcome: Outcome = OUTCOME.cut;
    if (tape.state === CSV.quote) {
      if (source[at] === QUOTE) {
        if (escapeQuotes) out[to++] = BACKSLASH;
        out[to++] = QUOTE;
        at++;
        tape.state = CSV.quoted;
      } else {
        outcome = OUTCOME.done;
      }
    }
    while (outcome === OUTCOME.cut && at < stop) {
      for (; at <= lastWord; at += 4, to += 4) {
        const word = sourceWords.getInt32(at, true);
        // Sets the high bit of a byte below 0x20, of a quote, a backslash or a comma, and perhaps of a byte behind one.
        const special = (word - SPACES) | ((word ^ QUOTES) - ONES) | ((word ^ BACKSLASHES) - ONES) | ((word ^ comma) - ONES);
        if ((special & ~word & HIGH_BITS) !== 0) break;
        outWords.setInt32(to, word, true);
      }
      let escape = 0;
      let byte = 0;
      for (; at < stop; at++) {
        byte = source[at] as number;
        escape = table[byte] as number;
        if (escape !== 0) break;
        out[to++] = byte;
      }
      if (at === stop) break;
      if (escape !== STOP) {
        at++;
        out[to++] = BACKSLASH;
        out[to++] = escape;
        if (escape === SMALL_U) {
          out[to++] = ZERO;
          out[to++] = ZERO;
          out[to++] = HEX[byte >> 4] as number;
          out[to++] = HEX[byte & 15] as number;
        }
      } else if (!inQuotes) {
        outcome = byte === COMMA || byte === NEWLINE ? OUTCOME.done : OUTCOME.malformed;
      } else if (++at === end) {
        tape.state = CSV.quote;
      } else if (source[at] === QUOTE) {
        at++;
        if (escapeQuotes) out[to++] = BACKSLASH;
        out[to++] = QUOTE;
      } else {
        tape.state = CSV.quote;
        outcome = OUTCOME.done;
      }
    }
    tape.length = to;
    if (outcome !== OUTCOME.cut) {
      tape.at = at;
      return outcome;
    }
  }
  tape.at = at;
  return OUTCOME.cut;
}
