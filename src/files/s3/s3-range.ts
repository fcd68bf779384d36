/** Ranges of an object, each held in memory until it has come whole: a request that fails is repeated for a range alone, and nothing is on its way while nobody asks for the next. */
import { GetObjectCommand } from '@aws-sdk/client-s3';
import type { GetObjectCommandOutput, S3Client } from '@aws-sdk/client-s3';
import type { Readable } from 'node:stream';
import { BadResponse, ObjectChanged, particulars, requireObject } from './s3-fault.js';

/** Bytes asked for at a time. */
const RANGE = 8 * 1024 * 1024;

export interface ObjectPlace {
  readonly bucket: string;
  readonly key: string;
  /** The object's first range, to which all others are bound. */
  readonly first?: Range | undefined;
}

export interface Range {
  readonly answer: GetObjectCommandOutput;
  readonly body: Buffer;
  /** Bytes of the whole object. */
  readonly size: number;
}

/**
 * For S3Access.request.
 *
 * @param at of the first byte; undefined for the whole of an object that is known to be empty
 * @throws BadResponse when something else came than was asked for; ObjectChanged when it is no range of the same object
 */
export async function getRange(client: S3Client, { bucket, key, first }: ObjectPlace, at: number | undefined, signal: AbortSignal, alive: () => void): Promise<Range> {
  const get = (from: number | undefined): Promise<GetObjectCommandOutput> => client.send(new GetObjectCommand({
    Bucket: bucket, Key: key, ...(from === undefined ? {} : { Range: `bytes=${from}-${from + RANGE - 1}` }), ...(first?.answer.ETag === undefined ? {} : { IfMatch: first.answer.ETag }),
  }), { abortSignal: signal });
  const answer = await get(at).catch((error: unknown) => {
    // Of an empty object no range can be had.
    if (at !== 0 || particulars(error).status !== 416) throw error;
    return get(undefined);
  });
  requireObject(answer);
  const chunks: Buffer[] = [];
  for await (const chunk of answer.Body as Readable) {
    alive();
    chunks.push(chunk as Buffer);
  }
  const body = Buffer.concat(chunks);
  if (answer.ContentLength !== undefined && body.length !== answer.ContentLength) throw new BadResponse(`${body.length} of ${answer.ContentLength} bytes came`);
  const size = sizeOf(answer, at ?? 0, body.length);
  if (first !== undefined && size !== first.size) throw new ObjectChanged('its size changed while it was read');
  return { answer, body, size };
}

/**
 * Bytes of the object of which an answer has `length` from `at`, the whole of it where it says nothing of a range.
 * @throws BadResponse when it is another range
 */
function sizeOf({ ContentRange: range }: GetObjectCommandOutput, at: number, length: number): number {
  if (range === undefined && at === 0) return length;
  const size = Number(/\/(\d+)$/.exec(range ?? '')?.[1]);
  const end = Math.min(at + RANGE, size);
  if (range === `bytes ${at}-${end - 1}/${size}` && length === end - at) return size;
  throw new BadResponse(`asked for ${RANGE} bytes from ${at}, got ${length}: ${range}`);
}
