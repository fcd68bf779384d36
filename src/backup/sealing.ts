/**
 * The way of a part's bytes into the store and out of it: gzip, age, SHA-256. Nothing is written anywhere before it is sealed.
 */
import { createHash } from 'node:crypto';
import { Transform } from 'node:stream';
import type { Readable, TransformCallback } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip, createGzip } from 'node:zlib';
import { RealmliftError } from '../errors.js';
import { AgeDecrypt, AgeEncrypt, AgeFormatError } from './age-payload.js';
import type { OpenHeader } from './age-payload.js';
import type { Recipients } from './age-keys.js';
import { damaged } from './backup-contents.js';
import type { Part } from './backup-contents.js';
import type { BackupStore } from './backup-store.js';

/** Bytes per turn of the compressor. At zlib's default of 16 KiB each MB would take four times as many trips to its thread. */
const TURN = 128 * 1024;

export interface Sealing {
  readonly recipients: Recipients;
  /** Of gzip, 0 to 9. */
  readonly level: number;
}

/** What a part holds is not what was put into it. */
export class PartDamage extends Error {}

/** Compresses, encrypts and stores what `source` holds. */
export async function sealPart(store: BackupStore, name: string, source: Readable, sealing: Sealing, signal: AbortSignal): Promise<Part> {
  const tally = new Tally();
  const compress = createGzip({ level: sealing.level, chunkSize: TURN });
  const encrypt = new AgeEncrypt(await sealing.recipients.header());
  const end = new PipelineEnd((sealed) => store.write(name, sealed));
  await end.reason(pipeline(source, compress, encrypt, tally, end.take, { signal }));
  return { name, bytes: tally.bytes, sha256: tally.sha256() };
}

/**
 * Reads a part and gives its plaintext to `consume`. When this resolves, the part is what its entry says, to the last byte; what was
 * consumed before must not count until then.
 *
 * @param consume may throw {@link PartDamage} for what it finds wrong with the content
 * @throws RealmliftError BACKUP_DAMAGED naming the part, KEY_WRONG, PART_MISSING; what else `consume` throws
 */
export async function openPart(store: BackupStore, part: Part, open: OpenHeader, signal: AbortSignal, consume: (plain: AsyncIterable<Buffer>) => Promise<void>): Promise<void> {
  let refused = false;
  const taking = async (plain: AsyncIterable<Buffer>): Promise<void> => {
    try {
      await consume(plain);
    } catch (error) {
      refused = !isDamage(error);
      throw error;
    }
  };
  try {
    await store.read(part.name, async (content) => {
      const tally = new Tally();
      const end = new PipelineEnd(taking);
      refused = false;
      await end.reason(pipeline(content, tally, new AgeDecrypt(open), createGunzip({ chunkSize: TURN }), end.take, { signal }));
      const problem = tallyProblem(tally, part);
      if (problem !== undefined) throw new PartDamage(problem);
    });
  } catch (error) {
    if (signal.aborted) throw error;
    // A damaged header may look like one for another key; and what another part holds may be refused by the database. Both happen before
    // the end of the part, where its checksum is known.
    const suspect = refused || (error as RealmliftError).code === 'KEY_WRONG';
    const problem = isDamage(error) ? (error as Error).message : suspect ? await partProblem(store, part) : undefined;
    throw problem === undefined ? error : damaged([`${part.name}: ${problem}`], error);
  }
}

/**
 * The function at the end of a pipeline. When it gives up, the pipeline fails at once and tells of an aborted stream; the reason is
 * what the function itself fails with. In any case it is waited for until it has cleaned up.
 */
class PipelineEnd {
  #taking: Promise<void> | undefined;
  readonly take: (chunks: AsyncIterable<Buffer>) => Promise<void>;

  constructor(take: (chunks: AsyncIterable<Buffer>) => Promise<void>) {
    this.take = (chunks) => (this.#taking = take(chunks));
  }

  async reason(pipeline: Promise<void>): Promise<void> {
    try {
      await pipeline;
    } catch (error) {
      const reason = await this.#taking?.then(() => undefined, (own: unknown) => own);
      throw isAbort(error) ? (reason ?? error) : error;
    }
  }
}

function isAbort(error: unknown): boolean {
  return (error as { name?: string }).name === 'AbortError';
}

/** The plaintext of a small part as a whole. Throws as {@link openPart} does. */
export async function readPart(store: BackupStore, part: Part, open: OpenHeader, signal: AbortSignal): Promise<Buffer> {
  let chunks: Buffer[] = [];
  await openPart(store, part, open, signal, async (plain) => {
    chunks = [];
    for await (const chunk of plain) chunks.push(chunk);
  });
  return Buffer.concat(chunks);
}

/** What is wrong with a stored object, told without the key. */
export async function partProblem(store: BackupStore, part: Part): Promise<string | undefined> {
  return store.read(part.name, async (content) => {
    const tally = new Tally();
    await pipeline(content, tally, async (sealed: AsyncIterable<Buffer>) => {
      for await (const chunk of sealed) void chunk;
    });
    return tallyProblem(tally, part);
  });
}

function tallyProblem(tally: Tally, part: Part): string | undefined {
  if (tally.bytes !== part.bytes) return `it has ${tally.bytes} bytes instead of ${part.bytes}`;
  return tally.sha256() === part.sha256 ? undefined : 'its SHA-256 is not the one that was written down';
}

function isDamage(error: unknown): boolean {
  if (error instanceof RealmliftError) return false;
  // zlib's own codes: Z_DATA_ERROR, Z_BUF_ERROR (cut off) and their like.
  return error instanceof AgeFormatError || error instanceof PartDamage || ((error as NodeJS.ErrnoException).code ?? '').startsWith('Z_');
}

/** Counts and digests what passes. */
class Tally extends Transform {
  readonly #hash = createHash('sha256');
  #digest: string | undefined;
  bytes = 0;

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    this.bytes += chunk.length;
    this.#hash.update(chunk);
    done(null, chunk);
  }

  /** Of all that passed; nothing more may follow. */
  sha256(): string {
    this.#digest ??= this.#hash.digest('hex');
    return this.#digest;
  }
}
