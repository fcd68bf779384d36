/**
 * s3rver's store on disk, corrected where it behaves unlike S3 in ways that an exporter can notice:
 * - listings are in the order of the keys' UTF-8 bytes (s3rver: the order of a walk over its directories, so that a page
 *   boundary loses keys); https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
 * - a PUT replaces an object in one step, and is answered when it is on disk, not when its last byte was read
 * - an object of a multipart upload has an ETag that is no MD5 of its content
 * What it reads for a small object it reads at once: the thread pool takes several times what sixteen short reads of files in memory take, and the
 * server shares its cores with what is measured.
 */
import { createHash, randomUUID } from 'node:crypto';
import type { Dirent } from 'node:fs';
import { createWriteStream, existsSync, readFileSync, statSync } from 'node:fs';
import { mkdir, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import S3Object from 's3rver/lib/models/object.js';
import FilesystemStore from 's3rver/lib/stores/filesystem.js';
import type { ByteRange, StoredObject } from 's3rver/lib/stores/filesystem.js';

type Listing = Awaited<ReturnType<FilesystemStore['listObjects']>>;

/** How s3rver names the file that holds an object's bytes. */
const OBJECT_SUFFIX = '._S3rver_object';

/** Bytes. */
const READ_AT_ONCE = 1 << 20;

export class S3Store extends FilesystemStore {
  /** Whether the answer to a copy has the SHA-256 of what was copied, as that of AWS. */
  tellsDigests = true;
  /** Parts that it copied by itself. */
  copied = 0;
  /** Until it is over, parts of messages files are not stored. */
  gate: Promise<void> | undefined;
  /** Parts that wait for it. */
  waiting = 0;

  override async getObject(bucket: string, key: string, options?: ByteRange): Promise<StoredObject | null> {
    const path = this.getResourcePath(bucket, key, 'object');
    if ((statSync(path, { throwIfNoEntry: false })?.size ?? Infinity) > READ_AT_ONCE) return super.getObject(bucket, key, options);
    const metadata = await this.getMetadata(bucket, key);
    const bytes = readFileSync(path);
    const object: StoredObject = new S3Object(bucket, key, null, metadata);
    const range = { start: options?.start ?? 0, end: Math.min(options?.end ?? Infinity, Math.max(0, bytes.length - 1)) };
    if (options?.start !== undefined || options?.end !== undefined) object.range = range;
    if (range.start <= range.end) object.content = streamOf(bytes.subarray(range.start, range.end + 1));
    return object;
  }

  override async getMetadata(bucket: string, key: string): Promise<Record<string, string>> {
    const path = this.getResourcePath(bucket, key, 'object');
    const { mtime, size } = statSync(path);
    const [stored, md5] = [readIfThere(this.getResourcePath(bucket, key, 'metadata.json')), readIfThere(`${path}.md5`)];
    if (stored === undefined || md5 === undefined) return super.getMetadata(bucket, key);
    return { ...JSON.parse(stored) as Record<string, string>, etag: JSON.stringify(md5), 'last-modified': mtime.toUTCString(), 'content-length': String(size) };
  }

  override async getSubresource(bucket: string, key: string | undefined, type: string): Promise<unknown> {
    return readIfThere(this.getResourcePath(bucket, key, `${type}.xml`)) === undefined ? null : super.getSubresource(bucket, key, type);
  }

  /** Up to one key more than `maxKeys`, for the caller to see that there are more; `isTruncated` is always false. */
  override async listObjects(
    bucket: string,
    { delimiter = '', startAfter = '', prefix = '', maxKeys }: Parameters<FilesystemStore['listObjects']>[1],
  ): Promise<Listing> {
    const keys = new Set<string>();
    const commonPrefixes = new Set<string>();
    for (const key of await this.#keys(bucket)) {
      if (!key.startsWith(prefix) || compareBytes(key, startAfter) <= 0) continue;
      const end = delimiter === '' ? -1 : key.indexOf(delimiter, prefix.length);
      if (end === -1) keys.add(key);
      else commonPrefixes.add(key.slice(0, end + delimiter.length));
      if (keys.size > maxKeys) break;
    }
    // One that is just being stored, or removed, may be there in part.
    const objects = await Promise.all([...keys].map(async (key) => this.getMetadata(bucket, key).then((metadata) => new S3Object(bucket, key, null, metadata), () => undefined)));
    return { objects: objects.filter((each) => each !== undefined), commonPrefixes: [...commonPrefixes], isTruncated: false };
  }

  override async putObject(object: StoredObject): Promise<{ size: number; md5: string }> {
    const content = Buffer.isBuffer(object.content) ? Readable.from([object.content]) : object.content;
    const stored = await writeContent(this.getResourcePath(object.bucket, object.key, 'object'), content as Readable);
    await this.putMetadata(object.bucket, object.key, object.metadata, stored.md5);
    return stored;
  }

  override async putPart(bucket: string, uploadId: string, partNumber: string, content: Readable): Promise<Content> {
    if (this.gate !== undefined && (await readFile(join(this.#uploadPath(bucket, uploadId), 'key'), 'utf8')).includes('/messages-')) {
      this.waiting += 1;
      await this.gate;
      this.waiting -= 1;
    }
    const path = join(this.#uploadPath(bucket, uploadId), partNumber);
    const stored = await writeContent(path, content);
    await writeFile(`${path}.md5`, stored.md5);
    return stored;
  }

  override async putObjectMultipart(bucket: string, uploadId: string, parts: { number: number; etag: string }[]): Promise<{ size: number; md5: string }> {
    const key = await readFile(join(this.#uploadPath(bucket, uploadId), 'key'), 'utf8');
    const { size } = await super.putObjectMultipart(bucket, uploadId, parts);
    const digests = parts.map(({ etag }) => Buffer.from(etag, 'hex'));
    const md5 = `${createHash('md5').update(Buffer.concat(digests)).digest('hex')}-${parts.length}`;
    await writeFile(this.getResourcePath(bucket, key, 'object.md5'), md5);
    return { size, md5 };
  }

  /** AbortMultipartUpload, which s3rver lacks. */
  async abortUpload(bucket: string, uploadId: string): Promise<void> {
    await rm(this.#uploadPath(bucket, uploadId), { recursive: true, force: true });
  }

  hasUpload(bucket: string, uploadId: string): boolean {
    return existsSync(join(this.#uploadPath(bucket, uploadId), 'key'));
  }

  /** ListMultipartUploads, which s3rver lacks. */
  async listUploads(bucket: string): Promise<{ key: string; uploadId: string }[]> {
    const uploads = await readdir(this.getResourcePath(bucket, undefined, 'uploads')).catch(() => []);
    return Promise.all(uploads.map(async (uploadId) => ({ uploadId, key: await readFile(join(this.#uploadPath(bucket, uploadId), 'key'), 'utf8') })));
  }

  #uploadPath(bucket: string, uploadId: string): string {
    return join(this.getResourcePath(bucket, undefined, 'uploads'), uploadId);
  }

  /** Directories come and go, of uploads for instance. */
  async #entries(root: string): Promise<Dirent[]> {
    for (;;) {
      try {
        return await readdir(root, { recursive: true, withFileTypes: true });
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || !existsSync(root)) throw error;
      }
    }
  }

  async #keys(bucket: string): Promise<string[]> {
    const root = this.getBucketPath(bucket);
    const entries = await this.#entries(root);
    return entries
      .filter((entry) => entry.isFile() && entry.name.endsWith(OBJECT_SUFFIX))
      .map((entry) => relative(root, join(entry.parentPath, entry.name)).slice(0, -OBJECT_SUFFIX.length))
      .sort(compareBytes);
  }
}

function readIfThere(path: string): string | undefined {
  return statSync(path, { throwIfNoEntry: false }) === undefined ? undefined : readFileSync(path, 'utf8');
}

/** Not the bytes themselves: s3rver destroys the content of an object of which only the head was asked for. */
function streamOf(bytes: Buffer): Readable {
  return new Readable({
    read() {
      this.push(bytes);
      this.push(null);
    },
  });
}

function compareBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

interface Content {
  readonly size: number;
  readonly md5: string;
  /** Base64. */
  readonly sha256: string;
}

async function writeContent(path: string, content: Readable): Promise<Content> {
  const md5 = createHash('md5');
  const sha256 = createHash('sha256');
  let size = 0;
  const measure = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      md5.update(chunk);
      sha256.update(chunk);
      size += chunk.length;
      done(null, chunk);
    },
  });
  await mkdir(dirname(path), { recursive: true });
  const partial = `${path}.${randomUUID()}`;
  await pipeline(content, measure, createWriteStream(partial));
  await rename(partial, path);
  return { size, md5: md5.digest('hex'), sha256: sha256.digest('base64') };
}
