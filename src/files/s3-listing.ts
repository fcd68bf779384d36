/** Listing of a bucket by prefix, page after page. */
import { ListObjectsV2Command } from '@aws-sdk/client-s3';
import type { S3Access } from './s3-client.js';
import { BadResponse } from './s3-fault.js';

export interface ListedObject {
  readonly key: string;
  readonly size: number;
  /** With its quotes. */
  readonly etag: string | undefined;
}

/**
 * Objects whose key starts with `prefix`, in the order of the bucket (bytes of the key, on AWS and most others).
 *
 * @param directOnly leaves out keys with a further `/` behind the prefix
 */
export async function* listObjects(access: S3Access, bucket: string, prefix: string, signal: AbortSignal, directOnly = false): AsyncGenerator<ListedObject> {
  let position: { ContinuationToken?: string; StartAfter?: string } | undefined = {};
  while (position !== undefined) {
    const from: { ContinuationToken?: string; StartAfter?: string } = position;
    const page = await access.request(signal, async (client, watch) => {
      const answer = await client.send(new ListObjectsV2Command({ Bucket: bucket, Prefix: prefix, ...(directOnly ? { Delimiter: '/' } : {}), ...from }), { abortSignal: watch });
      const counted = (answer.Contents?.length ?? 0) + (answer.CommonPrefixes?.length ?? 0);
      // Some servers count common prefixes, some do not; none has fewer entries than it counts.
      if ((answer.KeyCount ?? 0) > counted) throw new BadResponse('a page of the listing is not whole');
      return answer;
    });
    const objects = page.Contents ?? [];
    for (const { Key: key, Size: size, ETag: etag } of objects) if (key !== undefined) yield { key, size: size ?? 0, etag };
    const last = objects.at(-1)?.Key;
    if (page.IsTruncated !== true) position = undefined;
    else if (page.NextContinuationToken !== undefined) position = { ContinuationToken: page.NextContinuationToken };
    else position = last === undefined ? undefined : { StartAfter: last };
  }
}
