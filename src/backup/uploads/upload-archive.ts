/** Reads the sealed archives of uploaded files. */
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { extract } from 'tar-stream';
import type { Header } from 'tar-stream';
import { throwReason } from '../../joined-streams.js';
import { PartDamage } from '../seal/part-damage.js';
import type { ObjectAttributes } from './upload-source.js';

/** Key of the record in a tar entry's extended header that holds what S3 knows of the object. */
export const ATTRIBUTES_RECORD = 'REALMLIFT.attributes';

export interface ArchivedFile {
  readonly name: string;
  readonly size: number;
  /** Seconds since the epoch. */
  readonly modified: number;
  readonly mode: number;
  readonly attributes: ObjectAttributes;
}

/** Takes one file; must read the content to its end. */
export type Visit = (file: ArchivedFile, content: Readable) => Promise<void>;

/**
 * Visits the files of an archive, in their order.
 *
 * @throws PartDamage when they are not as many, or not as large, as were saved
 */
export async function visitArchive(plain: AsyncIterable<Buffer>, expected: { readonly files: number; readonly bytes: number }, visit: Visit): Promise<void> {
  const entries = extract();
  let files = 0;
  let bytes = 0;
  const visiting = (async () => {
    for await (const entry of entries) {
      const { header } = entry;
      files++;
      bytes += header.size;
      await visit(fileOf(header), Readable.from(entry));
    }
  })();
  const reading = pipeline(plain, entries);
  throwReason(await Promise.allSettled([reading, visiting.catch((error: unknown) => { entries.destroy(error as Error); throw error; })]));
  if (files !== expected.files || bytes !== expected.bytes) throw new PartDamage(`it holds ${files} files of ${bytes} bytes instead of ${expected.files} of ${expected.bytes}`);
}

function fileOf({ name, size, mode, mtime, pax }: Header): ArchivedFile {
  const records = (pax ?? {}) as Readonly<Record<string, string>>;
  return {
    name, size, mode, modified: records.mtime === undefined ? mtime.getTime() / 1000 : Number(records.mtime),
    attributes: JSON.parse(records[ATTRIBUTES_RECORD] ?? '{}') as ObjectAttributes,
  };
}
