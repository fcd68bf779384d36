/**
 * Backups below a prefix of an S3 bucket. An object appears when its upload is complete; large ones go up in parts.
 */
import { DeleteObjectsCommand, ListObjectsV2Command, PutObjectCommand } from '@aws-sdk/client-s3';
import type { S3Client } from '@aws-sdk/client-s3';
import { Readable } from 'node:stream';
import { EXIT, RealmliftError } from '../../errors.js';
import { Lost } from '../../files/file-store.js';
import { S3Access, newS3Client, type S3Connection } from '../../files/s3/s3-client.js';
import { credentialsRefused, meaningOf, particulars, s3Reason } from '../../files/s3/s3-fault.js';
import { PART } from '../../files/s3/s3-limits.js';
import { ListingTrail, listObjects } from '../../files/s3/s3-listing.js';
import { getRange, type Range } from '../../files/s3/s3-range.js';
import { uploadParts } from '../../files/s3/s3-upload.js';
import type { BackupStore } from './backup-store.js';
import { BucketStaging, UPLOAD_QUEUE } from './bucket-staging.js';
import type { Staging } from './staging.js';

/** Requests at once over the whole store. */
const REQUESTS = 8;
/** Objects that one request can delete. */
const DELETE_BATCH = 1000;

export class BucketStore implements BackupStore {
  readonly #access: S3Access;
  readonly #uploads: S3Client;
  readonly #bucket: string;
  /** Empty, or ends with a slash. */
  readonly #prefix: string;

  private constructor(access: S3Access, uploads: S3Client, bucket: string, prefix: string) {
    this.#access = access;
    this.#uploads = uploads;
    this.#bucket = bucket;
    this.#prefix = prefix;
  }

  /** @param url `s3://bucket` or `s3://bucket/prefix` */
  static of(url: string, settings: S3Connection): BucketStore {
    const [, bucket = '', prefix = ''] = /^s3:\/\/([^/]+)\/?(.*?)\/*$/.exec(url) ?? [];
    if (bucket === '') throw new RealmliftError('LOCATION', 'usage', `${url} names no bucket`, { hint: 's3://bucket/prefix', exit: EXIT.usage });
    const connection = { ...settings, jobs: REQUESTS };
    return new BucketStore(new S3Access(connection), newS3Client(connection), bucket, prefix === '' ? '' : `${prefix}/`);
  }

  get description(): string {
    return `s3://${this.#bucket}/${this.#prefix}`.replace(/\/$/, '');
  }

  async list(): Promise<Map<string, number>> {
    const out = new Map<string, number>();
    try {
      for await (const { key, size } of listObjects({ access: this.#access, bucket: this.#bucket, prefix: this.#prefix, directOnly: false, signal: never() })) out.set(key.slice(this.#prefix.length), size);
    } catch (error) {
      throw this.#error(error, `cannot list ${this.description}`);
    }
    return out;
  }

  async directories(): Promise<string[]> {
    const out: string[] = [];
    let token: string | undefined;
    const trail = new ListingTrail();
    do {
      const doing = `cannot list ${this.description}`;
      const position = await this.#request(doing, () => Promise.resolve(trail.take({ ContinuationToken: token })));
      const page = await this.#request(doing, (client, signal) => client.send(new ListObjectsV2Command({
        Bucket: this.#bucket, Prefix: this.#prefix, Delimiter: '/', ...position,
      }), { abortSignal: signal }));
      for (const { Prefix = '' } of page.CommonPrefixes ?? []) out.push(Prefix.slice(this.#prefix.length, -1));
      token = page.IsTruncated === true ? page.NextContinuationToken : undefined;
    } while (token !== undefined);
    return out;
  }

  async read<T>(name: string, consume: (content: Readable) => Promise<T>): Promise<T> {
    const stop = new AbortController();
    const first = await this.#range(name, 0, undefined, stop.signal);
    const content = Readable.from(this.#ranges(name, first, stop.signal), { objectMode: false });
    try {
      return await consume(content);
    } finally {
      content.destroy();
      stop.abort();
    }
  }

  async write(name: string, content: AsyncIterable<Uint8Array>): Promise<void> {
    const body = Readable.from((async function* () {
      // The stream reads ahead of the upload.
      for await (const chunk of content) yield Buffer.from(chunk);
    })(), { objectMode: false });
    const params = { Bucket: this.#bucket, Key: this.#prefix + name, Body: body, ChecksumAlgorithm: 'SHA256' } as const;
    await uploadParts(this.#uploads, { params, partSize: PART, queueSize: UPLOAD_QUEUE }, (error) => this.#error(error, `cannot write ${this.description}/${name}`));
  }

  async create(name: string, content: Uint8Array): Promise<boolean> {
    try {
      // The question first: not every server knows If-None-Match for PUT (AWS since August 2024), and those write regardless. Not by HEAD,
      // whose refusal has no body to give a reason.
      const there = await this.read(name, () => Promise.resolve(true)).catch((error: unknown) => {
        if ((error as RealmliftError).code === 'PART_MISSING') return false;
        throw error;
      });
      if (there) return false;
      await this.#uploads.send(new PutObjectCommand({ Bucket: this.#bucket, Key: this.#prefix + name, Body: content, ChecksumAlgorithm: 'SHA256', IfNoneMatch: '*' }));
      return true;
    } catch (error) {
      if (particulars(error).status === 412) return false;
      throw this.#error(error, `cannot write ${this.description}/${name}`);
    }
  }

  async remove(name: string): Promise<void> {
    await this.#delete([this.#prefix + name]);
  }

  async clear(): Promise<void> {
    const keys = [...(await this.list()).keys()].map((name) => this.#prefix + name);
    for (let at = 0; at < keys.length; at += DELETE_BATCH) await this.#delete(keys.slice(at, at + DELETE_BATCH));
    // What a killed run left half-way up.
    await this.staging().end();
  }

  within(directory: string): BackupStore {
    return new BucketStore(this.#access, this.#uploads, this.#bucket, `${this.#prefix}${directory}/`);
  }

  staging(): Staging {
    return new BucketStaging(this.#uploads, this.#bucket, this.#prefix, (error, doing) => this.#error(error, doing));
  }

  /** One is on its way while the one before is taken. */
  async *#ranges(name: string, first: Range, signal: AbortSignal): AsyncGenerator<Buffer> {
    let next: Promise<Range> | undefined = Promise.resolve(first);
    let at = 0;
    while (next !== undefined) {
      const { body }: Range = await next;
      at += body.length;
      next = at < first.size ? this.#range(name, at, first, signal) : undefined;
      next?.catch(() => undefined);
      yield body;
    }
  }

  #range(name: string, at: number, first: Range | undefined, signal: AbortSignal): Promise<Range> {
    return this.#request(`cannot read ${this.description}/${name}`, (client, watch, alive) => getRange(client, { bucket: this.#bucket, key: this.#prefix + name, first }, at, watch, alive), signal);
  }

  async #delete(keys: readonly string[]): Promise<void> {
    const { Errors = [] } = await this.#request(`cannot remove from ${this.description}`, (client, signal) =>
      client.send(new DeleteObjectsCommand({ Bucket: this.#bucket, Delete: { Objects: keys.map((Key) => ({ Key })), Quiet: true } }), { abortSignal: signal }));
    const [first] = Errors;
    if (first !== undefined) throw new RealmliftError('TARGET_UNUSABLE', 'backup', `cannot remove ${first.Key} (${first.Code})`, { hint: 'the right s3:DeleteObject is needed' });
  }

  async #request<T>(doing: string, request: (client: S3Client, signal: AbortSignal, alive: () => void) => Promise<T>, signal = never()): Promise<T> {
    try {
      return await this.#access.request(signal, request);
    } catch (error) {
      throw this.#error(error, doing);
    }
  }

  #error(error: unknown, doing: string): unknown {
    if (error instanceof RealmliftError && error.code !== 'BUCKET_MISSING') return error;
    const cause = error instanceof Lost ? error.cause : error;
    const { name, status } = particulars(error instanceof RealmliftError ? error.cause : cause);
    if (name === 'NoSuchBucket') return new RealmliftError('BUCKET_MISSING', 'backup', `there is no bucket ${this.#bucket}`, { hint: 'check the URL, S3_ENDPOINT and S3_REGION', cause });
    if (error instanceof Lost && error.reason === 'absent') return new RealmliftError('PART_MISSING', 'backup', `${doing}: there is no such object`, { cause });
    const meaning = meaningOf(cause);
    if (meaning.kind === 'credentials' || name === 'CredentialsProviderError') return credentialsRefused(name, cause);
    if (meaning.kind === 'fatal') return meaning.error;
    if (status === 401 || status === 403) return new RealmliftError('BUCKET_FORBIDDEN', 'backup', `${doing}: the store refuses it (${name})`, { hint: 'a backup needs s3:ListBucket, s3:PutObject, s3:GetObject and s3:DeleteObject', cause });
    return new RealmliftError('S3_FAILED', 'backup', `${doing}: ${s3Reason(cause)}`, { hint: 'check S3_ENDPOINT and that the store is up', again: true, cause });
  }
}

/** S3Access wants a signal; what ends a backup early ends its streams. */
function never(): AbortSignal {
  return new AbortController().signal;
}
