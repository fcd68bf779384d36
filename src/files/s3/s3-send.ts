/**
 * Requests without a signal of their own: the client keeps its handlers only for those (`cacheMiddleware`), which saves a
 * fifth of the processor time of a small object. What the signal cuts is not waited for; its connection ends with the client, or
 * when it has been silent for the socket's time-out.
 */
import { ListObjectsV2Command } from '@aws-sdk/client-s3';
import type { GetObjectCommandInput, GetObjectCommandOutput, ListObjectsV2CommandInput, ListObjectsV2CommandOutput, S3Client } from '@aws-sdk/client-s3';
import type { Readable } from 'node:stream';
import { requestObject } from './s3-object-request.js';

/** The answer's head; its body is still to be read, or to be given to {@link discard}. */
export async function getObject(client: S3Client, input: GetObjectCommandInput, signal: AbortSignal): Promise<GetObjectCommandOutput> {
  return unlessCut(requestObject(client, input), signal, discard);
}

export async function listPage(client: S3Client, input: ListObjectsV2CommandInput, signal: AbortSignal): Promise<ListObjectsV2CommandOutput> {
  return unlessCut(client.send(new ListObjectsV2Command(input)), signal, () => undefined);
}

/** Cuts the connection: reading the rest of a body that is not wanted would cost more than a new one. */
export function discard({ Body: body }: GetObjectCommandOutput): void {
  (body as Readable | undefined)?.on('error', () => undefined).destroy();
}

/** The answer, or the signal's reason as soon as it is cut. @param tooLate is given an answer that comes after that */
export async function unlessCut<T>(answer: Promise<T>, signal: AbortSignal, tooLate: (answer: T) => void): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const cut = (): void => reject(signal.reason as Error);
    signal.addEventListener('abort', cut, { once: true });
    answer.then((value) => {
      signal.removeEventListener('abort', cut);
      if (signal.aborted) tooLate(value);
      else resolve(value);
    }, (error: Error) => {
      signal.removeEventListener('abort', cut);
      reject(error instanceof Error ? error : new Error(String(error)));
    });
    if (signal.aborted) cut();
  });
}
