/** A bucket of exports, and what it holds. */
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { CreateBucketCommand, GetObjectCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';
import type { S3Server } from '../testbed/s3-server.js';

export const EXPORTS = 'exports';

export async function makeExportsBucket({ client }: S3Server): Promise<void> {
  await client.send(new CreateBucketCommand({ Bucket: EXPORTS }));
}

/** Keys below the prefix, without it. */
export async function keysBelow({ client }: S3Server, prefix: string): Promise<string[]> {
  const keys: string[] = [];
  let more: string | undefined;
  do {
    const page = await client.send(new ListObjectsV2Command({ Bucket: EXPORTS, Prefix: `${prefix}/`, ...(more === undefined ? {} : { ContinuationToken: more }) }));
    keys.push(...(page.Contents ?? []).map(({ Key = '' }) => Key.slice(prefix.length + 1)));
    more = page.NextContinuationToken;
  } while (more !== undefined);
  return keys;
}

/** Fetches all that is below the prefix. @returns the directory */
export async function fetched(server: S3Server, prefix: string, directory: string): Promise<string> {
  for (const key of await keysBelow(server, prefix)) {
    const { Body } = await server.client.send(new GetObjectCommand({ Bucket: EXPORTS, Key: `${prefix}/${key}` }));
    await mkdir(dirname(join(directory, key)), { recursive: true });
    await writeFile(join(directory, key), await Body?.transformToByteArray() ?? '');
  }
  return directory;
}
