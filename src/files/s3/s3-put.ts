/** An object that is stored by one request, which may take longer than any silence where many share a slow line. */
import { PutObjectCommand } from '@aws-sdk/client-s3';
import type { PutObjectCommandInput, S3Client } from '@aws-sdk/client-s3';
import { Readable } from 'node:stream';

/** Bytes of a body that are handed over at a time. */
const SENT_AT_ONCE = 64 * 1024;

/** For S3Access.request: `alive` is called as the bytes go out. */
export async function putObject(client: S3Client, input: PutObjectCommandInput & { readonly Body: Buffer }, signal: AbortSignal, alive: () => void): Promise<void> {
  const command = new PutObjectCommand(input);
  // Last of all: what digests and signs the body needs the whole.
  command.middlewareStack.add((next) => (call) => next({ ...call, request: Object.assign(call.request as object, { body: Readable.from(pieces(input.Body, alive)) }) }), { step: 'deserialize', priority: 'low', name: 'tellSent' });
  await client.send(command, { abortSignal: signal });
}

function* pieces(body: Buffer, alive: () => void): Generator<Buffer> {
  for (let at = 0; at < body.length; at += SENT_AT_ONCE) {
    alive();
    yield body.subarray(at, at + SENT_AT_ONCE);
  }
}
