/**
 * What S3 says of an object's content, checked against the bytes on disk: the ETag where it is an MD5, and the checksums
 * that newer clients store with an object. https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html
 */
import { createHash } from 'node:crypto';
import type { GetObjectCommandOutput } from '@aws-sdk/client-s3';
import { Crc32, Crc32c, Crc64Nvme } from '@aws-sdk/checksums/crc';
import { Corrupt } from './s3-fault.js';

/** `opaque` of a server whose ETags look like an MD5 of the content and are none. */
export type Etags = 'md5' | 'opaque';

/** What S3 answers of an object with its content. */
export type Integrity = Pick<GetObjectCommandOutput,
  'ETag' | 'ServerSideEncryption' | 'SSECustomerAlgorithm' | 'ChecksumType' | 'ChecksumSHA256' | 'ChecksumSHA1' | 'ChecksumCRC64NVME' | 'ChecksumCRC32C' | 'ChecksumCRC32'>;

/** Takes the bytes of an object in order and says in the end whether they are the object's. */
export interface ContentCheck {
  update(chunk: Uint8Array): void;
  /** @throws Corrupt when they are others */
  confirm(): Promise<void>;
}

interface Running { update(chunk: Uint8Array): unknown; digest(): Uint8Array | Promise<Uint8Array> }

/**
 * @param etagsAreMd5 false for a server whose ETags look like an MD5 and are none
 */
export function contentCheck(integrity: Integrity, etagsAreMd5: boolean): ContentCheck {
  const checks: { what: string; expected: Buffer; running: Running }[] = [];
  const md5 = etagsAreMd5 ? md5OfEtag(integrity) : undefined;
  if (md5 !== undefined) checks.push({ what: 'ETag', expected: Buffer.from(md5, 'hex'), running: createHash('md5') });
  const stored = storedChecksum(integrity);
  if (stored !== undefined) checks.push(stored);
  return {
    update(chunk) {
      for (const { running } of checks) running.update(chunk);
    },
    async confirm() {
      for (const { what, expected, running } of checks) if (!expected.equals(await running.digest())) throw new Corrupt(`the bytes do not match the ${what}`);
    },
  };
}

/**
 * The MD5 that the ETag is, in hexadecimal; undefined where it is none: objects stored in parts (`…-N`), or encrypted with
 * a key of KMS or of the client. https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html
 */
function md5OfEtag({ ETag: etag, ServerSideEncryption: encryption, SSECustomerAlgorithm: customer }: Integrity): string | undefined {
  if (encryption?.startsWith('aws:kms') === true || customer !== undefined) return undefined;
  return /^"([0-9a-f]{32})"$/i.exec(etag ?? '')?.[1];
}

/** The first stored checksum, strongest first; one over the checksums of parts (COMPOSITE, `…-N`) cannot be checked. */
function storedChecksum(integrity: Integrity): { what: string; expected: Buffer; running: Running } | undefined {
  if (integrity.ChecksumType === 'COMPOSITE') return undefined;
  const kinds: readonly (readonly [string, string | undefined, () => Running])[] = [
    ['SHA-256', integrity.ChecksumSHA256, () => createHash('sha256')],
    ['SHA-1', integrity.ChecksumSHA1, () => createHash('sha1')],
    ['CRC-64/NVME', integrity.ChecksumCRC64NVME, () => new Crc64Nvme()],
    ['CRC-32C', integrity.ChecksumCRC32C, () => new Crc32c()],
    ['CRC-32', integrity.ChecksumCRC32, () => new Crc32()],
  ];
  for (const [what, value, start] of kinds) {
    if (value !== undefined && !value.includes('-')) return { what, expected: Buffer.from(value, 'base64'), running: start() };
  }
  return undefined;
}
