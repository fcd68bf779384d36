/** Listing of a bucket by prefix: page after page, and where there are many pages, several parts of the prefix at once. */
import type { ListObjectsV2CommandInput } from '@aws-sdk/client-s3';
import { ListObjectsV2Command } from '@aws-sdk/client-s3';
import type { StoredFile } from './file-store.js';
import { inOrder } from './ordered-pool.js';
import { byBytes } from './records.js';
import type { S3Access } from './s3-client.js';
import { BadResponse } from './s3-fault.js';

/** Bytes in their order that the random part of Zulip's keys begins with (base64url, hexadecimal, avatars' hashes). */
const FIRST_LETTERS = [...'-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz'];

/** Parts of a prefix listed at once. Each is held whole until its turn: a 64th of a million keys is 3 MB. */
const PARTS_AT_ONCE = 4;

export interface Listing {
  readonly access: S3Access;
  readonly bucket: string;
  readonly prefix: string;
  /** Leaves out keys with a further `/` behind the prefix. */
  readonly directOnly: boolean;
  readonly signal: AbortSignal;
}

/** Objects whose key starts with the prefix, in the order of the bucket: by the bytes of the key, on AWS and most others. */
export async function* listObjects(listing: Listing): AsyncGenerator<StoredFile> {
  const first = await page(listing, {});
  if (first.next === undefined) return yield* first.objects;
  // From each boundary, exclusive, to the next, inclusive.
  const boundaries = [undefined, ...FIRST_LETTERS.map((letter) => listing.prefix + letter), undefined];
  const parts = boundaries.slice(0, -1).map((after, index) => ({ after, upTo: boundaries[index + 1] }));
  for await (const objects of inOrder(each(parts), PARTS_AT_ONCE, PARTS_AT_ONCE, async (part) => listPart(listing, part))) yield* objects;
}

// eslint-disable-next-line @typescript-eslint/require-await -- the pool takes what a cursor gives
async function* each<T>(values: readonly T[]): AsyncGenerator<T> {
  yield* values;
}

async function listPart(listing: Listing, { after, upTo }: { after: string | undefined; upTo: string | undefined }): Promise<StoredFile[]> {
  const found: StoredFile[] = [];
  let from: Position | undefined = after === undefined ? {} : { StartAfter: after };
  while (from !== undefined) {
    const { objects, next }: Page = await page(listing, from);
    const inside = upTo === undefined ? objects : objects.filter(({ key }) => byBytes(key, upTo) <= 0);
    found.push(...inside);
    from = inside.length < objects.length ? undefined : next;
  }
  return found;
}

type Position = Pick<ListObjectsV2CommandInput, 'ContinuationToken' | 'StartAfter'>;
interface Page { readonly objects: StoredFile[]; readonly next: Position | undefined }

async function page({ access, bucket, prefix, directOnly, signal }: Listing, from: Position): Promise<Page> {
  const answer = await access.request(signal, async (client, watch) => {
    const page = await client.send(new ListObjectsV2Command({ Bucket: bucket, Prefix: prefix, ...(directOnly ? { Delimiter: '/' } : {}), ...from }), { abortSignal: watch });
    // Some servers count common prefixes, some do not; none has fewer entries than it counts.
    if ((page.KeyCount ?? 0) > (page.Contents?.length ?? 0) + (page.CommonPrefixes?.length ?? 0)) throw new BadResponse('a page of the listing is not whole');
    return page;
  });
  const objects = (answer.Contents ?? []).flatMap(({ Key: key, Size: size, ETag: etag }) => (key === undefined ? [] : [{ key, size: size ?? 0, etag }]));
  const last = objects.at(-1)?.key;
  if (answer.IsTruncated !== true) return { objects, next: undefined };
  if (answer.NextContinuationToken !== undefined) return { objects, next: { ContinuationToken: answer.NextContinuationToken } };
  return { objects, next: last === undefined ? undefined : { StartAfter: last } };
}
