/**
 * What both halves of the row path agree on: copy-to-json.ts and transcoder.ts here, and assembly/, which is compiled to WebAssembly and takes
 * these lines as they are. Numbers alone: they mean the same in both languages.
 */

/** Places in the memory that both see, in bytes. */
export const ESCAPES = 1024;
export const PAIRS = 3072;
/** Of a segmented sink the row's id and the watched value, of a dealt one those that it wants to see; 8 bytes each (double). */
export const SHOWN = 4096;
/** What a chunk leaves unread goes before the next one, and both end before the output: it is less than the beginning of a COPY. */
export const INPUT = 8192;
export const INPUT_SIZE = 65536;
export const OUTPUT = 81920;
/** It stays in a core's cache between being filled and being read by the sink. */
export const OUTPUT_SIZE = 131072;
/** Behind the output, and behind each prefix: what is copied eight bytes at a time may end there. */
export const EXCESS = 64;
/** Descriptors of the columns, and behind them what goes before their values, e.g. `,"sender":`. */
export const COLUMNS = 213120;

/** A column's descriptor: its kind (1 byte), which of the shown ones it is or -1 (4), where what goes before its value lies (4) and its length (4), 0 for a column that is not written. */
export const DESCRIPTOR_SIZE = 16;
export const SHOWN_AT = 4;
export const PREFIX = 8;
export const PREFIX_LENGTH = 12;

/** Kinds of fields. Up to BOOLEAN they have a fixed length and are read once they are there as a whole. */
export const INTEGER = 0;
export const TIMESTAMP = 1;
export const BOOLEAN = 2;
export const SKIPPED = 3;
export const TEXT = 4;
export const JSON_TEXT = 5;
export const NUMBER = 6;
export const INTEGER_ARRAY = 7;
export const VECTOR = 8;

/** Kinds of sinks, see row-sinks.ts. */
export const PLAIN = 0;
export const SEGMENTED = 1;
export const DEALT = 2;

/** What a chunk comes to: all of it is read, or what is wrong with it. */
export const GOOD = 0;
export const FIELD_MALFORMED = 1;
export const FIELD_NOT_JSON = 2;
export const NO_SIGNATURE = 3;
export const FIELDS_MISCOUNTED = 4;
export const FIRST_NULL = 5;
export const BEHIND_END = 6;
