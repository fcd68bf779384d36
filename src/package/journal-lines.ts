/** The lines of a journal: each a JSON object behind a piece of its own SHA-256, so that a damaged or cut one counts as not written. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';

/** Hexadecimal digits of the SHA-256 in front of a line. */
const SUM = 16;

/** A line with its end. */
export function journalLine(value: object): string {
  const json = JSON.stringify(value);
  return `${sumOf(json)} ${json}\n`;
}

/** Undefined for a damaged line. */
export function parseLine<T>(text: string): T | undefined {
  const json = text.slice(SUM + 1);
  return text.slice(0, SUM) === sumOf(json) ? JSON.parse(json) as T : undefined;
}

/** The whole lines of a file, without their ends. Offsets and lengths are of bytes. */
export async function* journalLines(path: string): AsyncGenerator<{ text: string; offset: number; length: number }> {
  let rest: Buffer = Buffer.alloc(0);
  let offset = 0;
  for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
    let bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    for (let length = bytes.indexOf(0x0a); length !== -1; length = bytes.indexOf(0x0a)) {
      yield { text: bytes.toString('utf8', 0, length), offset, length };
      offset += length + 1;
      bytes = bytes.subarray(length + 1);
    }
    rest = bytes;
  }
}

function sumOf(json: string): string {
  return createHash('sha256').update(json).digest('hex').slice(0, SUM);
}
