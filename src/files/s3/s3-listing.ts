/** Listing of a bucket by prefix: page after page, and where there are many pages, several parts of the prefix at once. */
import type { ListObjectsV2CommandInput } from '@aws-sdk/client-s3';
import { Lost } from '../file-store.js';
import type { Candidate, StoredFile } from '../file-store.js';
import { inOrder } from '../ordered-pool.js';
import { byBytes } from '../records.js';
import type { S3Access } from './s3-client.js';
import { BadResponse } from './s3-fault.js';
import { listPage } from './s3-send.js';

/** Bytes in their order that the random part of Zulip's keys begins with (base64url, hexadecimal, avatars' hashes). */
const FIRST_LETTERS = [...'-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz'];

/** Pages that are fetched one after the other before the rest is split: each part of it costs up to one page of waste. */
const PAGES_IN_TURN = 32;

/** Parts of a prefix listed at once. Each is held whole until its turn: a 64th of a million keys is 3 MB. */
const PARTS_AT_ONCE = 4;

export interface Listing {
  readonly access: S3Access;
  readonly bucket: string;
  readonly prefix: string;
  /** Leaves out keys with a further `/` behind the prefix. */
  readonly directOnly: boolean;
  /** Keys of a page, at most 1000; default 1000. */
  readonly pageSize?: number | undefined;
  readonly signal: AbortSignal;
}

/** Objects whose key starts with the prefix, in the order of the bucket: by the bytes of the key, on AWS and most others. */
export async function* listObjects(listing: Listing): AsyncGenerator<StoredFile> {
  let from: Position | undefined = {};
  let last: string | undefined;
  const trail = new ListingTrail();
  for (let pages = 0; from !== undefined && pages < PAGES_IN_TURN; pages += 1) {
    const { objects, next }: Page = await page(listing, trail.take(from));
    yield* trail.check(objects);
    last = objects.at(-1)?.key ?? last;
    from = next;
  }
  if (from === undefined) return;
  if (last === undefined) throw new Lost('fault', 'the store sends page after page of nothing');
  // From each boundary, exclusive, to the next, inclusive.
  const after = last;
  const boundaries = [after, ...FIRST_LETTERS.map((letter) => listing.prefix + letter).filter((boundary) => byBytes(boundary, after) > 0)];
  const parts = boundaries.map((start, index) => ({ start, end: boundaries[index + 1] }));
  for await (const objects of inOrder(each(parts), PARTS_AT_ONCE, PARTS_AT_ONCE, async (part) => listPart(listing, part))) yield* objects;
}

// eslint-disable-next-line @typescript-eslint/require-await -- the pool takes what a cursor gives
async function* each<T>(values: readonly T[]): AsyncGenerator<T> {
  yield* values;
}

async function listPart(listing: Listing, { start, end }: { start: string; end: string | undefined }): Promise<StoredFile[]> {
  const found: StoredFile[] = [];
  let from: Position | undefined = { StartAfter: start };
  const trail = new ListingTrail();
  while (from !== undefined) {
    const { objects, next }: Page = await page(listing, trail.take(from));
    trail.check(objects);
    const inside = end === undefined ? objects : objects.filter(({ key }) => byBytes(key, end) <= 0);
    found.push(...inside);
    from = inside.length < objects.length ? undefined : next;
  }
  return found;
}

/** Where a listing has been: a server that sends it there again, or the same page under another token, would send it round for ever. */
export class ListingTrail {
  readonly #taken = new Set<string>();
  #first: string | undefined;

  /** @throws Lost */
  take(position: Position): Position {
    const key = `${position.ContinuationToken ?? ''} ${position.StartAfter ?? ''}`;
    if (this.#taken.has(key)) throw new Lost('fault', 'the store repeats a continuation token: its listing has no end');
    this.#taken.add(key);
    return position;
  }

  /** Looks at what came. @throws Lost */
  check(objects: readonly StoredFile[]): readonly StoredFile[] {
    if (objects[0] !== undefined && objects[0].key === this.#first) throw new Lost('fault', 'the store sends the same page again: its listing has no end');
    this.#first = objects[0]?.key ?? this.#first;
    return objects;
  }
}

/** Candidates, by the bytes of their keys, with what a listing shows of them: none of it where the listing ends early or has another order. */
export async function* withListing(candidates: AsyncIterable<Candidate>, listing: AsyncIterable<StoredFile>): AsyncGenerator<Candidate> {
  const objects = listing[Symbol.asyncIterator]();
  const next = async (): Promise<StoredFile | undefined> => {
    try {
      const { done, value } = await objects.next() as IteratorResult<StoredFile, undefined>;
      return done === true ? undefined : value;
    } catch (error) {
      if (error instanceof Lost) return undefined;
      throw error;
    }
  };
  try {
    let object = await next();
    for await (const candidate of candidates) {
      while (object !== undefined && byBytes(object.key, candidate.key) < 0) object = await next();
      yield object?.key === candidate.key ? { ...candidate, listed: object } : candidate;
    }
  } finally {
    await objects.return?.();
  }
}

type Position = Pick<ListObjectsV2CommandInput, 'ContinuationToken' | 'StartAfter'>;
interface Page { readonly objects: StoredFile[]; readonly next: Position | undefined }

async function page({ access, bucket, prefix, directOnly, pageSize = 1000, signal }: Listing, from: Position): Promise<Page> {
  const answer = await access.request(signal, async (client, watch) => {
    const page = await listPage(client, { Bucket: bucket, Prefix: prefix, MaxKeys: pageSize, ...(directOnly ? { Delimiter: '/' } : {}), ...from }, watch);
    // Some servers count common prefixes, some do not; none has fewer entries than it counts.
    if ((page.KeyCount ?? 0) > (page.Contents?.length ?? 0) + (page.CommonPrefixes?.length ?? 0)) throw new BadResponse('a page of the listing is not whole');
    return page;
  });
  const objects = (answer.Contents ?? []).flatMap(({ Key: key, Size: size, ETag: etag, LastModified: at }) => (key === undefined ? [] : [{ key, size: size ?? 0, etag, lastModified: at?.toISOString() }]));
  const last = objects.at(-1)?.key;
  if (answer.IsTruncated !== true) return { objects, next: undefined };
  if (answer.NextContinuationToken !== undefined) return { objects, next: { ContinuationToken: answer.NextContinuationToken } };
  return { objects, next: last === undefined ? undefined : { StartAfter: last } };
}
