/**
 * Where backups are kept: a directory, or a prefix of an S3 bucket. Both hold named objects that appear whole or not at all.
 */
import { Readable } from 'node:stream';
import { RealmliftError } from '../../errors.js';
import type { ObjectSink, Staging } from './staging.js';

export interface BackupStore extends ObjectSink {
  /** A path or an s3:// URL, for messages. */
  readonly description: string;
  /** All objects, however deep: name (with `/` between directories) and size in bytes. */
  list(): Promise<Map<string, number>>;
  /** Names of the directories directly below. */
  directories(): Promise<string[]>;
  /**
   * Gives an object's bytes to `consume`, and again from the start when the connection to the store broke meanwhile.
   *
   * @throws RealmliftError PART_MISSING when there is no such object; what `consume` throws
   */
  read<T>(name: string, consume: (content: Readable) => Promise<T>): Promise<T>;
  /** Writes an object unless there is one of that name. Returns whether it was written. */
  create(name: string, content: Uint8Array): Promise<boolean>;
  /** Removes an object; nothing happens when there is none. */
  remove(name: string): Promise<void>;
  /** Removes whatever the store holds, also what an interrupted write left behind. */
  clear(): Promise<void>;
  /** The store one directory down. */
  within(directory: string): BackupStore;
  /** How other machines store here. */
  staging(): Staging;
}

/** Bytes that an object may have that is read as a whole; the list of 100,000 tables has half of it. */
const WHOLE = 128 * 1024 * 1024;

/** A small object as a whole. @throws RealmliftError BACKUP_DAMAGED when it is larger than anybody would have made it */
export async function readWhole(store: BackupStore, name: string, limit = WHOLE): Promise<Buffer> {
  return store.read(name, async (content) => {
    const chunks: Buffer[] = [];
    let size = 0;
    for await (const chunk of content as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > limit) throw new RealmliftError('BACKUP_DAMAGED', 'backup', `${name} is larger than ${limit} bytes`, { hint: 'nothing that realmlift wrote is' });
      chunks.push(chunk);
    }
    return Buffer.concat(chunks);
  });
}

/** Writes a small object. */
export async function writeWhole(store: BackupStore, name: string, content: Uint8Array | string): Promise<void> {
  await store.write(name, Readable.from([Buffer.from(content)]));
}
