/**
 * Which parts of a large object are on disk, beside the partial file, so that a run which was cut goes on where it
 * stopped. A line for the object, then one for each part: what a part's line says is believed only when the bytes on disk have its
 * CRC-32. That is against accidents; where S3 knows a checksum of the object, the whole is held against that in the end.
 */
import { Crc32 } from '@aws-sdk/checksums/crc';
import { open, readFile, rm } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';

/** What the parts belong to; other parts are of no use. */
export interface PartedObject {
  readonly etag: string;
  readonly size: number;
  readonly partSize: number;
}

export class PartLedger {
  readonly #handle: FileHandle;

  private constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  /**
   * Runs `work` with the ledger of `partial` and with the parts of the object that are whole on disk. The ledger outlives
   * a failure of `work`, not its success.
   */
  static async with<T>(partial: string, file: FileHandle, object: PartedObject, work: (ledger: PartLedger, whole: ReadonlySet<number>) => Promise<T>): Promise<T> {
    const path = `${partial}.parts`;
    const whole = await wholeParts(path, file, object);
    const handle = await open(path, whole.size > 0 ? 'a' : 'w', 0o600);
    let result: T;
    try {
      if (whole.size === 0) await handle.write(`${JSON.stringify(object)}\n`);
      result = await work(new PartLedger(handle), whole);
    } finally {
      await handle.close();
    }
    await rm(path, { force: true });
    return result;
  }

  /** @param crc CRC-32 of the part's bytes, hexadecimal */
  async add(part: number, crc: string): Promise<void> {
    await this.#handle.write(`${JSON.stringify({ part, crc })}\n`);
  }
}

/** Bytes `start` to `end`, inclusive, of a part. */
export function rangeOf({ size, partSize }: PartedObject, part: number): { start: number; end: number } {
  return { start: part * partSize, end: Math.min(size, (part + 1) * partSize) - 1 };
}

async function wholeParts(path: string, file: FileHandle, object: PartedObject): Promise<Set<number>> {
  const [head, ...lines] = (await readFile(path, 'utf8').catch(() => '')).split('\n');
  const whole = new Set<number>();
  if (head !== JSON.stringify(object)) return whole;
  for (const line of lines) {
    const entry = parse(line);
    if (entry !== undefined && (await crcOfRange(file, rangeOf(object, entry.part))) === entry.crc) whole.add(entry.part);
  }
  return whole;
}

/** A line; undefined for the last one of a run that was cut while writing it. */
function parse(line: string): { part: number; crc: string } | undefined {
  try {
    return JSON.parse(line) as { part: number; crc: string };
  } catch {
    return undefined;
  }
}

async function crcOfRange(file: FileHandle, { start, end }: { start: number; end: number }): Promise<string> {
  const crc = new PartCrc();
  const buffer = Buffer.allocUnsafe(1 << 20);
  for (let position = start; position <= end;) {
    const { bytesRead } = await file.read(buffer, 0, Math.min(buffer.length, end + 1 - position), position);
    if (bytesRead === 0) break;
    crc.update(buffer.subarray(0, bytesRead));
    position += bytesRead;
  }
  return crc.hex();
}

/** CRC-32 of a part, as its line has it. Three times as fast as SHA-256, and all bytes are hashed once more in the end. */
export class PartCrc {
  readonly #crc = new Crc32();

  update(chunk: Uint8Array): void {
    this.#crc.update(chunk);
  }

  async hex(): Promise<string> {
    return Buffer.from(await this.#crc.digest()).toString('hex');
  }
}
