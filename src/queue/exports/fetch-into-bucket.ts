/**
 * Files out of the store into a bucket. Between buckets of one server it is the server that copies, and where it tells the SHA-256 of what it copied,
 * which the manifest needs, no byte of the file comes here; else the file is read, and stored unless the server copies it all the same.
 */
import { rm } from 'node:fs/promises';
import { ONE_COPY } from '../../files/s3/s3-limits.js';
import type { ExportBucket, PendingObject } from '../../files/upload/export-bucket.js';
import type { CopySource, FileStore } from '../../files/file-store.js';
import { fetchFrom, type FetchOne } from './fetch-batch.js';
import type { FetchedFile } from './export-jobs.js';

/** What the server was found to do. */
interface Server {
  copies: boolean;
  tellsDigests: boolean;
}

/** @param directory of the export in the bucket */
export function fetchInto(bucket: ExportBucket, directory: string, store: FileStore): FetchOne {
  const server = serverOf(bucket, store);
  return async (named, partial, signal) => {
    const name = `${directory}/${named.area}/${named.path}`;
    const whole = server.copies && server.tellsDigests ? await copied(bucket, name, store, named, server, signal) : undefined;
    if (whole !== undefined) return whole;
    const file = await fetchFrom(store, named, partial, signal);
    if (file === null) return null;
    const source = server.copies ? store.source?.(named, file.info) : undefined;
    const stored = (source === undefined ? undefined : await unlessRefused(server, signal, async () => (await bucket.copy(name, source, signal)).pending)) ?? await bucket.put(name, partial, signal);
    await rm(partial, { force: true });
    return { ...file, stored };
  };
}

const servers = new WeakMap<ExportBucket, Server>();

function serverOf(bucket: ExportBucket, store: FileStore): Server {
  const server = servers.get(bucket) ?? { copies: store.isOf?.(bucket.target.connection) === true, tellsDigests: true };
  servers.set(bucket, server);
  return server;
}

/** Without reading it; undefined where that cannot be. */
async function copied(bucket: ExportBucket, name: string, store: FileStore, named: Parameters<FetchOne>[0], server: Server, signal: AbortSignal): Promise<FetchedFile | undefined> {
  const info = await store.look?.(named, signal);
  const source = info === undefined ? undefined : store.source?.(named, info);
  if (info === undefined || source === undefined || !isOneCopy(source)) return undefined;
  const made = await unlessRefused(server, signal, () => bucket.copy(name, source, signal));
  if (made?.sha256 !== undefined) return { info, size: source.size, sha256: made.sha256, stored: made.pending };
  if (made !== undefined) {
    server.tellsDigests = false;
    await bucket.giveUp(made.pending);
  }
  return undefined;
}

/** One request copies the whole, of which the server then tells one digest. */
function isOneCopy({ size }: CopySource): boolean {
  return size > 0 && size <= ONE_COPY;
}

/** What the server refuses it is not asked for again; the file is then stored from here. */
async function unlessRefused<T extends PendingObject | { readonly pending: PendingObject }>(server: Server, signal: AbortSignal, copy: () => Promise<T>): Promise<T | undefined> {
  try {
    return await copy();
  } catch (error) {
    signal.throwIfAborted();
    // An object that changed meanwhile is read anew; all else is the server's way.
    const { cause } = error as { cause?: { $metadata?: { httpStatusCode?: number } } };
    if (cause?.$metadata?.httpStatusCode !== 412) server.copies = false;
    return undefined;
  }
}
