/** The parts of s3rver 3.7 that the testbed uses; the package has no types of its own. */
declare module 's3rver' {
  import type { Server } from 'node:http';
  import type FilesystemStore from 's3rver/lib/stores/filesystem.js';

  /** What koa hands to a middleware, as far as it is used here. */
  export interface Context {
    method: string;
    path: string;
    query: Record<string, string>;
    headers: Record<string, string | undefined>;
    status: number;
    body: unknown;
    app: S3rver;
  }

  export default class S3rver {
    constructor(options: { address: string; port: number; directory: string; silent: boolean; vhostBuckets: boolean; configureBuckets: { name: string }[] });
    store: FilesystemStore;
    context: { store: FilesystemStore };
    middleware: ((context: Context, next: () => Promise<void>) => Promise<void>)[];
    httpServer: Server;
    run(): Promise<{ port: number }>;
    close(): Promise<void>;
  }
}

declare module 's3rver/lib/stores/filesystem.js' {
  import type { Readable } from 'node:stream';

  export interface StoredObject {
    bucket: string;
    key: string;
    content: Buffer | Readable | null;
    metadata: Record<string, string>;
    /** When a part was asked for. */
    range?: { start: number; end: number };
  }

  /** Bytes `start` to `end`, inclusive. */
  export interface ByteRange { start?: number; end?: number }

  export default class FilesystemStore {
    constructor(directory: string);
    rootDirectory: string;
    getBucketPath(bucket: string): string;
    getResourcePath(bucket: string, key: string | undefined, resource: string): string;
    getObject(bucket: string, key: string, options?: ByteRange): Promise<StoredObject | null>;
    getSubresource(bucket: string, key: string | undefined, type: string): Promise<unknown>;
    getMetadata(bucket: string, key: string): Promise<Record<string, string>>;
    putMetadata(bucket: string, key: string, metadata: Record<string, string>, md5: string): Promise<void>;
    putObject(object: StoredObject): Promise<{ size: number; md5: string }>;
    putPart(bucket: string, uploadId: string, partNumber: string, content: Readable): Promise<{ size: number; md5: string }>;
    putObjectMultipart(bucket: string, uploadId: string, parts: { number: number; etag: string }[]): Promise<{ size: number; md5: string }>;
    listObjects(
      bucket: string,
      options: { delimiter?: string | undefined; startAfter?: string | undefined; prefix?: string | undefined; maxKeys: number },
    ): Promise<{ objects: StoredObject[]; commonPrefixes: string[]; isTruncated: boolean }>;
  }
}

declare module 's3rver/lib/models/object.js' {
  import type { StoredObject } from 's3rver/lib/stores/filesystem.js';

  const S3Object: new (bucket: string, key: string, content: null, metadata: Record<string, string>) => StoredObject;
  export default S3Object;
}
