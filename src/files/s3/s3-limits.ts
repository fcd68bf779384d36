/** How large what is sent to S3 may be, by its own limits and by what we hold in memory. https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html */

/** Bytes up to which a file is one request, held in memory. */
export const ONE_REQUEST = 4 << 20;
/** Bytes up to which S3 copies an object in one request. */
export const ONE_COPY = 5 * 2 ** 30;
/** Bytes of a part, unless the object needs larger ones; of one whose size is not known, it may have 78 GiB. */
export const PART = 8 << 20;
/** Parts of an object. */
const MOST_PARTS = 10_000;

/** @param size of the object, in bytes @returns bytes of each of its parts, but the last */
export function partSizeFor(size: number): number {
  return Math.max(PART, Math.ceil(size / MOST_PARTS));
}
