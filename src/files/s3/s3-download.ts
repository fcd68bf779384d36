/**
 * One object of S3 into one file: small ones in one request, large ones in parallel ranges that are written at their
 * offsets. All ranges are bound to the ETag of the first answer, so that an object that is replaced meanwhile is never mixed with its successor.
 */
import { createHash } from 'node:crypto';
import { constants, createWriteStream, writeFile, writeFileSync } from 'node:fs';
import { open, rm } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { HeadObjectCommand, type GetObjectCommandOutput } from '@aws-sdk/client-s3';
import { inParallel } from '../../in-parallel.js';
import { digestOf } from '../../package/part-file.js';
import { Lost } from '../file-store.js';
import type { Fetched, ObjectInfo, Verdict } from '../file-store.js';
import type { Integrity } from './object-checksum.js';
import { contentCheck } from './object-checksum.js';
import type { PartedObject } from './part-ledger.js';
import { PartCrc, PartLedger, rangeOf } from './part-ledger.js';
import type { S3Access } from './s3-client.js';
import { BadResponse, Corrupt, ObjectChanged, RangesIgnored, requireObject } from './s3-fault.js';
import { discard, getObject } from './s3-send.js';
import { outputDisk } from '../short-calls.js';

/** How often an object that changes under the reader, or comes out wrong, is read from its start. */
const ROUNDS = 3;

/** Bytes up to which an object is gathered in memory and written at once, which costs less than a stream; 8 MiB for 32 jobs. */
const GATHERED = 256 * 1024;

/** By file descriptor: a FileHandle for each small file costs twice the processor time. */
const writeByPool = promisify(writeFile);

/** Bytes of a range that are written by one call; 16 MiB for 32 jobs. A chunk from a socket has 64 KiB at most. */
const WRITTEN_AT_ONCE = 512 * 1024;

export interface Transfer {
  readonly access: S3Access;
  readonly bucket: string;
  readonly key: string;
  /** Where the bytes go. */
  readonly partial: string;
  /** Bytes of a range; larger objects come in ranges. */
  readonly partSize: number;
  readonly etagsAreMd5: boolean;
  readonly judge: (info: ObjectInfo) => Verdict;
  readonly signal: AbortSignal;
}

type Taken = Extract<Verdict, { take: true }>;
type Saved = { readonly size: number; readonly sha256: string };
/** A large object's first answer, whose body was not read. */
type Large = { readonly large: true; readonly verdict: Taken; readonly object: PartedObject; readonly integrity: Integrity };

/** @throws Lost, RealmliftError */
export async function download(transfer: Transfer): Promise<Fetched> {
  let inParts = true;
  let previous: string | undefined;
  for (let round = 1; ; round += 1) {
    const first = await firstRequest(transfer, inParts);
    if (!('large' in first)) return first;
    try {
      return { taken: true, verdict: first.verdict, ...(await inRanges(transfer, first)) };
    } catch (error) {
      if (error instanceof RangesIgnored) {
        inParts = false;
      } else if (error instanceof ObjectChanged || error instanceof Corrupt) {
        if (round === ROUNDS) throw new Lost(error instanceof Corrupt ? 'corrupt' : 'changed', error.message, error);
        // A server that twice says "changed" and shows the same ETag does not understand If-Match.
        if (error instanceof ObjectChanged && previous === first.object.etag) inParts = false;
        previous = first.object.etag;
      } else {
        throw error;
      }
    }
  }
}

/** Asks for the whole object and takes its body, unless it is large: then the answer's head is enough. */
async function firstRequest(transfer: Transfer, inParts: boolean): Promise<Fetched | Large> {
  const { access, bucket, key, partSize, signal } = transfer;
  return access.request(signal, async (client, watch, alive) => {
    const answer = await getObject(client, { Bucket: bucket, Key: key }, watch);
    alive();
    const info = infoOf(answer, bucket);
    const verdict = transfer.judge(info);
    if (!verdict.take) {
      discard(answer);
      return { taken: false };
    }
    // Without a strong ETag nothing would bind the ranges together.
    if (inParts && info.size > partSize && info.etag?.startsWith('"') === true) {
      discard(answer);
      return { large: true, verdict, object: { etag: info.etag, size: info.size, partSize }, integrity: answer };
    }
    return { taken: true, verdict, ...(await saveWhole(answer, transfer, watch, alive)) };
  });
}

/** An object without its bytes. @throws Lost, RealmliftError */
export async function lookAt(access: S3Access, bucket: string, key: string, signal: AbortSignal): Promise<ObjectInfo> {
  return access.request(signal, async (client, watch) => infoOf(await client.send(new HeadObjectCommand({ Bucket: bucket, Key: key }), { abortSignal: watch }), bucket));
}

function infoOf(answer: Pick<GetObjectCommandOutput, 'ContentLength' | 'LastModified' | 'ContentType' | 'ETag' | 'Metadata'>, bucket: string): ObjectInfo {
  if (answer.ContentLength === undefined) throw new BadResponse('the answer has no length');
  requireObject(answer);
  return {
    size: answer.ContentLength,
    // As boto spells a Last-Modified header, which has whole seconds.
    lastModified: answer.LastModified === undefined ? '' : `${answer.LastModified.toISOString().slice(0, 19)}+00:00`,
    contentType: answer.ContentType ?? null,
    etag: answer.ETag,
    bucket,
    metadata: answer.Metadata ?? {},
  };
}

async function saveWhole(answer: GetObjectCommandOutput, { partial, etagsAreMd5 }: Transfer, signal: AbortSignal, alive: () => void): Promise<Saved> {
  const check = contentCheck(answer, etagsAreMd5);
  const sha256 = createHash('sha256');
  const body = answer.Body as Readable;
  const length = answer.ContentLength as number;
  let size = 0;
  const see = (chunk: Buffer): void => {
    alive();
    sha256.update(chunk);
    check.update(chunk);
    size += chunk.length;
  };
  const gathered = length <= GATHERED ? await gather(body, see, signal) : undefined;
  if (gathered === undefined) await stream(body, see, partial, signal);
  if (size !== length) throw new BadResponse(`${size} of ${length} bytes came`);
  await check.confirm();
  if (gathered !== undefined) await outputDisk.run(() => writeFileSync(partial, gathered, { mode: 0o600 }), async () => writeByPool(partial, gathered, { mode: 0o600 }));
  return { size, sha256: sha256.digest('hex') };
}

/** The hot path of small objects: their bytes are held until they are known to be right, and written at once. */
async function gather(body: Readable, see: (chunk: Buffer) => void, signal: AbortSignal): Promise<Buffer> {
  const chunks: Buffer[] = [];
  const cut = (): void => void body.destroy(signal.reason as Error);
  signal.addEventListener('abort', cut, { once: true });
  try {
    await new Promise<void>((resolve, reject) => {
      body.on('data', (chunk: Buffer) => {
        see(chunk);
        chunks.push(chunk);
      }).on('end', resolve).on('error', reject).on('close', () => {
        if (!body.readableEnded) reject(new BadResponse('the connection was closed'));
      });
      if (signal.aborted) cut();
    });
  } finally {
    signal.removeEventListener('abort', cut);
  }
  return chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks);
}

async function stream(body: Readable, see: (chunk: Buffer) => void, partial: string, signal: AbortSignal): Promise<void> {
  await pipeline(body, async function* (chunks: AsyncIterable<Buffer>) {
    for await (const chunk of chunks) {
      see(chunk);
      yield chunk;
    }
  }, createWriteStream(partial, { mode: 0o600 }), { signal });
}

/** @throws ObjectChanged, Corrupt, RangesIgnored, and what a request throws */
async function inRanges(transfer: Transfer, { object, integrity }: Large): Promise<Saved> {
  // Neither truncates nor needs the file to be there: parts of an earlier run may be in it.
  const file = await open(transfer.partial, constants.O_RDWR | constants.O_CREAT, 0o600);
  try {
    return await PartLedger.with(transfer.partial, file, object, async (ledger, whole) => {
      const missing = Array.from({ length: Math.ceil(object.size / object.partSize) }, (_, part) => part).filter((part) => !whole.has(part));
      await inParallel(missing, transfer.access.jobs, async (part, signal) => ledger.add(part, await savePart(transfer, file, object, part, signal)), transfer.signal);
      await file.truncate(object.size);
      return await checkWhole(transfer, integrity);
    });
  } catch (error) {
    if (error instanceof Corrupt) await rm(`${transfer.partial}.parts`, { force: true });
    throw error;
  } finally {
    await file.close();
  }
}

/** @returns the CRC-32 of the part's bytes */
async function savePart({ access, bucket, key }: Transfer, file: FileHandle, object: PartedObject, part: number, signal: AbortSignal): Promise<string> {
  const { start, end } = rangeOf(object, part);
  return access.request(signal, async (client, watch, alive) => {
    const answer = await getObject(client, { Bucket: bucket, Key: key, Range: `bytes=${start}-${end}`, IfMatch: object.etag }, watch);
    alive();
    const problem = answer.ETag !== object.etag ? new ObjectChanged('the object was replaced while it was read')
      : answer.ContentRange === undefined ? new RangesIgnored('the server ignores ranges')
        : answer.ContentRange === `bytes ${start}-${end}/${object.size}` ? undefined : new BadResponse(`asked for bytes ${start}-${end}, got ${answer.ContentRange}`);
    if (problem !== undefined) {
      discard(answer);
      throw problem;
    }
    const crc = new PartCrc();
    let position = start;
    let held: Buffer[] = [];
    let bytes = 0;
    const write = async (): Promise<void> => {
      const { bytesWritten } = await file.writev(held, position);
      // A disk that is just full takes a part, and says so at the next attempt.
      if (bytesWritten !== bytes) throw new BadResponse('not all bytes could be written');
      position += bytes;
      [held, bytes] = [[], 0];
    };
    await pipeline(answer.Body as Readable, async (chunks: AsyncIterable<Buffer>) => {
      for await (const chunk of chunks) {
        alive();
        if (position + bytes + chunk.length > end + 1) throw new BadResponse('more bytes came than were asked for');
        crc.update(chunk);
        held.push(chunk);
        bytes += chunk.length;
        if (bytes >= WRITTEN_AT_ONCE) await write();
      }
      if (bytes > 0) await write();
    }, { signal: watch });
    if (position !== end + 1) throw new BadResponse(`${position - start} of ${end + 1 - start} bytes came`);
    return crc.hex();
  });
}

async function checkWhole({ partial, etagsAreMd5 }: Transfer, integrity: Integrity): Promise<Saved> {
  const check = contentCheck(integrity, etagsAreMd5);
  const saved = await digestOf(partial, check);
  await check.confirm();
  return saved;
}
