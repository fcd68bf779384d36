/**
 * The way of a part's bytes into the store and out of it: compression, age, SHA-256. Nothing is written anywhere before it is sealed.
 */
import { createHash } from 'node:crypto';
import type { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { RealmliftError } from '../../errors.js';
import { throwReason } from '../../joined-streams.js';
import type { Recipients } from '../seal/age-keys.js';
import { AgeDecrypt, AgeFormatError, ageEncrypt } from '../seal/age-payload.js';
import type { OpenHeader } from '../seal/age-payload.js';
import { compressor, decompressed, type Compression } from '../seal/compression.js';
import { PartDamage } from '../seal/part-damage.js';
import type { BackupStore } from '../store/backup-store.js';
import type { ObjectSink } from '../store/staging.js';
import { damaged } from './backup-contents.js';
import type { Part } from './backup-contents.js';

export interface Sealing {
  readonly recipients: Recipients;
  readonly compression: Compression;
}

/** Compresses, encrypts and stores what `source` holds. */
export async function sealPart(store: ObjectSink, name: string, source: Readable, sealing: Sealing, signal: AbortSignal): Promise<Part> {
  const { compress, part } = beginPart(store, name, sealing, signal);
  throwReason(await Promise.allSettled([part, pipeline(source, compress)]));
  return part;
}

/**
 * Begins a part.
 *
 * @returns `compress`, for what is to be sealed: the part is finished when it is ended, and given up when it is destroyed
 */
export function beginPart(store: ObjectSink, name: string, sealing: Sealing, signal: AbortSignal): { readonly compress: Writable; readonly part: Promise<Part> } {
  const tally = new Tally();
  const compress = compressor(sealing.compression);
  const end = new PipelineEnd(async (compressed) => store.write(name, tally.pass(ageEncrypt(await sealing.recipients.header(), compressed))));
  const part = end.reason(pipeline(compress, end.take, { signal })).then(() => ({ name, bytes: tally.bytes, sha256: tally.sha256() }));
  return { compress, part };
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
      await end.reason(pipeline(content, (chunks: AsyncIterable<Buffer>) => tally.pass(chunks), new AgeDecrypt(open), decompressed, end.take, { signal }));
      const problem = tallyProblem(tally, part);
      if (problem !== undefined) throw new PartDamage(problem);
    });
  } catch (error) {
    if (signal.aborted) throw error;
    // A damaged header may look like one for another key; and what another part holds may be refused by the database. Both happen before
    // the end of the part, where its checksum is known.
    const suspect = refused || (error as RealmliftError).code === 'KEY_WRONG';
    const problem = isDamage(error) ? (error as Error).message : suspect ? await partProblem(store, part, signal) : undefined;
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
    const ended = await Promise.allSettled([pipeline]);
    throwReason([...ended, ...await Promise.allSettled([this.#taking])]);
  }
}

/**
 * The plaintext of a small part as a whole. Throws as {@link openPart} does.
 *
 * @param limit bytes of plaintext; what unpacks to more is damaged, or made to exhaust the memory
 */
export async function readPart(store: BackupStore, part: Part, open: OpenHeader, signal: AbortSignal, limit: number): Promise<Buffer> {
  let chunks: Buffer[] = [];
  await openPart(store, part, open, signal, async (plain) => {
    chunks = [];
    let size = 0;
    for await (const chunk of plain) {
      size += chunk.length;
      if (size > limit) throw new PartDamage(`it unpacks to more than ${limit} bytes`);
      chunks.push(chunk);
    }
  });
  return Buffer.concat(chunks);
}

/** What is wrong with a stored object, told without the key. */
export async function partProblem(store: BackupStore, part: Part, signal: AbortSignal): Promise<string | undefined> {
  return store.read(part.name, async (content) => {
    const tally = new Tally();
    await pipeline(content, async (chunks: AsyncIterable<Buffer>) => { for await (const chunk of tally.pass(chunks)) void chunk; }, { signal });
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
class Tally {
  readonly #hash = createHash('sha256');
  #digest: string | undefined;
  bytes = 0;

  async *pass(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const chunk of chunks) {
      this.bytes += chunk.length;
      this.#hash.update(chunk);
      yield chunk;
    }
  }

  /** Of all that passed; nothing more may follow. */
  sha256(): string {
    this.#digest ??= this.#hash.digest('hex');
    return this.#digest;
  }
}
