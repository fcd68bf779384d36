/**
 * Objects in parts by the SDK's own Upload, which knows no signal: its abort() rejects at once and removes the parts behind the caller's back, by a client
 * that may be closed then. Here what is under way is cut, and the parts are removed before the caller goes on.
 */
import { setMaxListeners } from 'node:events';
import { AbortMultipartUploadCommand, CreateMultipartUploadCommand, PutObjectCommand, UploadPartCommand, type S3Client } from '@aws-sdk/client-s3';
import { Upload, type Options } from '@aws-sdk/lib-storage';
import type { Readable } from 'node:stream';
import { tidily } from './s3-pending.js';
import { unlessCut } from './s3-send.js';

/** Milliseconds for which a server that says nothing is waited for when what was under way is cut: who has stopped it waits. */
const LAST_WORD = 2000;

export type UploadOptions = Pick<Options, 'partSize' | 'queueSize'> & { readonly params: Options['params'] & { readonly Body: Readable } };

/**
 * Stores a body, of which nothing is seen before all is there. The signal ends it early, and so does an error of the body.
 *
 * @param failed puts into words what the client throws
 * @param onProgress told of the bytes that are stored so far
 * @throws the body's own error, the signal's reason, or what `failed` makes of the client's
 */
export async function uploadParts(client: S3Client, options: UploadOptions, failed: (error: unknown) => unknown, signal?: AbortSignal, onProgress?: (bytes: number) => void): Promise<void> {
  const { Body: body } = options.params;
  const cut = new AbortController();
  // Each request under way listens.
  setMaxListeners(0, cut.signal);
  const late = new AbortController();
  const stop = (reason: unknown): void => {
    cut.abort(reason);
    setTimeout(() => late.abort(reason), LAST_WORD).unref();
  };
  body.once('error', stop);
  const end = (): void => {
    // Of a body that was read to its end nothing would be heard.
    stop(signal?.reason);
    body.destroy(signal?.reason as Error);
  };
  signal?.addEventListener('abort', end, { once: true });
  const send = (command: Parameters<S3Client['send']>[0]): Promise<unknown> => {
    // Only of an upload whose id was told can the parts be removed, and by the same client.
    if (command instanceof CreateMultipartUploadCommand) return unlessCut(client.send(command), late.signal, () => undefined);
    if (command instanceof AbortMultipartUploadCommand) return tidily((watch) => client.send(command, { abortSignal: watch }), cut.signal.aborted ? LAST_WORD : undefined);
    if (!(command instanceof UploadPartCommand || command instanceof PutObjectCommand)) return client.send(command);
    return unlessCut(client.send(command as UploadPartCommand, { abortSignal: cut.signal }), cut.signal, () => undefined);
  };
  const upload = new Upload({ ...options, client: Object.assign(Object.create(client) as S3Client, { send }), leavePartsOnError: false });
  if (onProgress !== undefined) upload.on('httpUploadProgress', ({ loaded = 0 }) => onProgress(loaded));
  try {
    signal?.throwIfAborted();
    await upload.done();
  } catch (error) {
    throw cut.signal.aborted ? cut.signal.reason : failed(error);
  } finally {
    signal?.removeEventListener('abort', end);
    body.destroy();
  }
}
