/**
 * Uploads in parts that nobody will complete: what cannot be seen is paid for until they are given up. A server that says nothing is not waited for as
 * for an object, since the work has ended by then, one way or the other: what remains ends by the bucket's own rule for incomplete uploads.
 */
import { AbortMultipartUploadCommand, ListMultipartUploadsCommand, type AbortMultipartUploadCommandInput, type ListMultipartUploadsCommandOutput, type S3Client } from '@aws-sdk/client-s3';
import { unlessCut } from './s3-send.js';

/** Milliseconds. */
const PATIENCE = 10_000;

/** What only tidies up. @param patience milliseconds @returns undefined where it is refused; 'silent' where no answer came in time */
export async function tidily<T>(send: (signal: AbortSignal) => Promise<T>, patience = PATIENCE): Promise<T | undefined | 'silent'> {
  const signal = AbortSignal.timeout(patience);
  try {
    return await unlessCut(send(signal), signal, () => undefined);
  } catch {
    return signal.aborted ? 'silent' : undefined;
  }
}

/** @param patience see tidily @returns false where no answer came in time */
export async function giveUpUpload(client: S3Client, upload: AbortMultipartUploadCommandInput, patience?: number): Promise<boolean> {
  return await tidily((signal) => client.send(new AbortMultipartUploadCommand(upload), { abortSignal: signal }), patience) !== 'silent';
}

/** All that are pending below a prefix, as far as the server lists them. @param patience see tidily, of each request @returns false where no answer came in time */
export async function giveUpUploads(client: S3Client, Bucket: string, Prefix: string, patience?: number): Promise<boolean> {
  let after: { KeyMarker?: string | undefined; UploadIdMarker?: string | undefined } | undefined = {};
  while (after !== undefined) {
    const markers: object = after;
    const page: ListMultipartUploadsCommandOutput | undefined | 'silent' = await tidily((signal) => client.send(new ListMultipartUploadsCommand({ Bucket, Prefix, ...markers }), { abortSignal: signal }), patience);
    if (page === 'silent') return false;
    const given = await Promise.all((page?.Uploads ?? []).map(({ Key, UploadId }) => giveUpUpload(client, { Bucket, Key, UploadId }, patience)));
    if (given.includes(false)) return false;
    // A server that knows no markers begins anew.
    after = page?.IsTruncated === true && page.NextUploadIdMarker !== after.UploadIdMarker ? { KeyMarker: page.NextKeyMarker, UploadIdMarker: page.NextUploadIdMarker } : undefined;
  }
  return true;
}
