/**
 * Separates COPY's payload from the protocol around it: the server sends one CopyData message per row, each with a
 * header of five bytes. The payload of all messages of a socket read is moved together inside the chunk itself, so that a
 * thousand short rows are handed on as one run of bytes.
 *
 * Why not pg-copy-streams, which does the same through a list of slices: its cost is per message, and there are millions.
 * Of 1,000,000 usermessages (21 MB of CSV) it took 0.27 s of our processor time against 0.10 s here, of 100,000 messages
 * (104 MB) 0.17 s against 0.09 s, all else being equal; psql needs 0.42 s for either. Its highWaterMark makes no difference.
 * https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-COPY
 */
import { isBroken, protocolBroken } from '../snapshot/protocol-guard.js';

const COPY_DATA = 0x64;
/** Message type and length; the length counts itself but not the type. */
const HEADER_LENGTH = 5;
const LENGTH_LENGTH = 4;

/** Below this many bytes a loop moves them faster than the call of copyWithin. */
const SHORT_MOVE = 64;

export interface SeparatedMessages {
  /** Takes the next bytes of the payload, part of the chunk; they are not touched afterwards. */
  payload(bytes: Buffer): void;
  /** Takes the bytes of all other messages, headers included, in their order. */
  other(bytes: Buffer): void;
}

export class CopyDataSeparator {
  readonly #to: SeparatedMessages;
  readonly #header = Buffer.alloc(HEADER_LENGTH);
  #headerLength = 0;
  /** Bytes of the current message's body that are still to come. */
  #left = 0;
  #isPayload = false;

  constructor(to: SeparatedMessages) {
    this.#to = to;
  }

  /** Takes what was read from the socket; the chunk is changed and handed on in parts. @throws RealmliftError PROTOCOL_BROKEN */
  push(chunk: Buffer): void {
    const end = chunk.length;
    const view = new DataView(chunk.buffer, chunk.byteOffset, end);
    let at = 0;
    /** Payload gathered so far: chunk[from..to]. */
    let from = 0;
    let to = 0;
    while (at < end) {
      if (this.#left === 0) {
        const headerAt = at;
        at = this.#readHeader(chunk, view, at);
        if (this.#headerLength > 0) break;
        if (!this.#isPayload) {
          if (to > from) this.#to.payload(chunk.subarray(from, to));
          to = from = at;
          this.#to.other(at - headerAt === HEADER_LENGTH ? chunk.subarray(headerAt, at) : Buffer.from(this.#header));
        }
      }
      const length = Math.min(this.#left, end - at);
      if (length === 0) continue;
      if (!this.#isPayload) {
        this.#to.other(chunk.subarray(at, at + length));
        to = from = at + length;
      } else if (to === from) {
        from = at;
        to = at + length;
      } else {
        if (length < SHORT_MOVE) move(view, to, at, length);
        else chunk.copyWithin(to, at, at + length);
        to += length;
      }
      at += length;
      this.#left -= length;
    }
    if (to > from) this.#to.payload(chunk.subarray(from, to));
  }

  /** Reads a message's header, or as much of it as there is: then #headerLength is above 0. Returns where it ends. */
  #readHeader(chunk: Buffer, view: DataView, start: number): number {
    if (this.#headerLength === 0 && start + HEADER_LENGTH <= chunk.length) {
      this.#begin(chunk[start] as number, view.getUint32(start + 1));
      return start + HEADER_LENGTH;
    }
    const header = this.#header;
    let at = start;
    while (at < chunk.length && this.#headerLength < HEADER_LENGTH) header[this.#headerLength++] = chunk[at++] as number;
    if (this.#headerLength === HEADER_LENGTH) {
      this.#headerLength = 0;
      this.#begin(header[0] as number, header.readUInt32BE(1));
    }
    return at;
  }

  #begin(code: number, length: number): void {
    if (isBroken(code, length)) throw protocolBroken('copy');
    this.#isPayload = code === COPY_DATA;
    this.#left = length - LENGTH_LENGTH;
  }
}

/** Moves bytes towards the beginning, by a header's length at least: four at a time, none is overwritten before it was read. */
function move(view: DataView, to: number, from: number, length: number): void {
  let k = 0;
  for (; k + 4 <= length; k += 4) view.setInt32(to + k, view.getInt32(from + k));
  for (; k < length; k++) view.setUint8(to + k, view.getUint8(from + k));
}
