/**
 * GetObject without the client's middleware, which takes two thirds of the processor time of a small object's request. The first
 * request of a bucket goes through the client as it is; what the client made of it (address, headers, region) is kept, and
 * further ones differ from it only in the key and are signed by the client's own signer and sent by its own connections.
 */
import { GetObjectCommand } from '@aws-sdk/client-s3';
import type { GetObjectCommandInput, GetObjectCommandOutput, S3Client } from '@aws-sdk/client-s3';
import type { IncomingHttpHeaders } from 'node:http';
import { text } from 'node:stream/consumers';
import type { Readable } from 'node:stream';

type Signer = Awaited<ReturnType<S3Client['config']['signer']>>;
type SignedRequest = Awaited<ReturnType<Signer['sign']>> & HttpRequest;

interface HttpRequest {
  readonly method: string;
  readonly protocol: string;
  readonly hostname: string;
  readonly port?: number;
  readonly path: string;
  readonly query: Record<string, string | string[] | null>;
  readonly headers: Record<string, string>;
}

interface HttpResponse {
  readonly statusCode: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Readable;
}

/** What requests for objects of a bucket have in common. */
interface Template {
  readonly request: Omit<HttpRequest, 'path'>;
  /** Of the path, before the key. */
  readonly before: string;
  readonly signer: Signer;
  readonly signing: { readonly signingRegion?: string; readonly signingService?: string };
}

/** Headers of one request. */
const OF_ONE_REQUEST = new Set(['range', 'if-match']);

/** By client and bucket; undefined where only the client itself knows how to ask. */
const templates = new WeakMap<S3Client, Map<string, Template | undefined>>();

/** Makes a client's first request for an object of each bucket the pattern of the others. */
export function keepTemplates(client: S3Client): void {
  const kept = new Map<string, Template | undefined>();
  templates.set(client, kept);
  client.middlewareStack.add((next, context) => async (call) => {
    const { Bucket: bucket = '', Key: key = '' } = call.input as { Bucket?: string; Key?: string };
    if (context.commandName === 'GetObjectCommand' && !kept.has(bucket)) {
      const [scheme] = (context.endpointV2?.properties?.authSchemes ?? []) as { name: string; signingRegion?: string; signingName?: string }[];
      kept.set(bucket, undefined);
      if (scheme?.name === 'sigv4') kept.set(bucket, await templateOf(client, call.request as HttpRequest, key, scheme));
    }
    return next(call);
  }, { step: 'build', priority: 'low', name: 'keepTemplates' });
}

/** The answer's head, as the client's own; its body is still to be read. @throws as the client does: an error of S3 has its code as `name` */
export async function requestObject(client: S3Client, input: GetObjectCommandInput): Promise<GetObjectCommandOutput> {
  const { Bucket: bucket = '', Key: key = '', Range: range, IfMatch: etag } = input;
  const kept = templates.get(client);
  const template = kept?.get(bucket);
  if (template === undefined) return client.send(new GetObjectCommand(input));
  const { request, before, signer, signing } = template;
  const headers = { ...request.headers, ...(range === undefined ? {} : { range }), ...(etag === undefined ? {} : { 'if-match': etag }) };
  const { systemClockOffset, requestHandler } = client.config;
  const signed = (await signer.sign({ ...request, path: before + encoded(key), headers }, { ...signing, signingDate: new Date(Date.now() + systemClockOffset) })) as SignedRequest;
  const { response } = (await requestHandler.handle(signed as Parameters<typeof requestHandler.handle>[0])) as { response: HttpResponse };
  if (response.statusCode < 300) return outputOf(response);
  if (response.statusCode < 400) {
    // Another region, or the like: the client knows where to follow.
    response.body.destroy();
    kept?.set(bucket, undefined);
    return client.send(new GetObjectCommand(input));
  }
  const error = await errorOf(response);
  // The client learns by its own requests how far this computer's clock is off.
  if (error.name === 'RequestTimeTooSkewed') kept?.delete(bucket);
  throw error;
}

async function templateOf(client: S3Client, request: HttpRequest, key: string, scheme: { readonly signingRegion?: string; readonly signingName?: string }): Promise<Template | undefined> {
  const { method, protocol, hostname, port, path, query } = request;
  const end = encoded(key);
  // The client writes the operation's name into the query, for its own logs.
  if (!path.endsWith(end) || Object.keys(query).some((name) => name !== 'x-id')) return undefined;
  const headers = Object.fromEntries(Object.entries(request.headers).filter(([name]) => !OF_ONE_REQUEST.has(name.toLowerCase())));
  return {
    request: { method, protocol, hostname, query, headers, ...(port === undefined ? {} : { port }) },
    before: path.slice(0, -end.length), signer: await client.config.signer(scheme as Parameters<S3Client['config']['signer']>[0]),
    signing: { ...(scheme.signingRegion === undefined ? {} : { signingRegion: scheme.signingRegion }), ...(scheme.signingName === undefined ? {} : { signingService: scheme.signingName }) },
  };
}

/** As the client spells a key. https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html (UriEncode) */
function encoded(key: string): string {
  return encodeURIComponent(key).replace(/%2F/g, '/').replace(/[!'()*]/g, (letter) => `%${letter.charCodeAt(0).toString(16).toUpperCase()}`);
}

/** https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html#API_GetObject_ResponseSyntax, what of it is used. */
function outputOf({ statusCode, headers, body }: HttpResponse): GetObjectCommandOutput {
  const header = (name: string): string | undefined => headers[name] as string | undefined;
  const length = header('content-length');
  const modified = header('last-modified');
  return {
    $metadata: { httpStatusCode: statusCode },
    Body: body as NonNullable<GetObjectCommandOutput['Body']>,
    ContentLength: length === undefined ? undefined : Number(length),
    LastModified: modified === undefined ? undefined : new Date(modified),
    ContentType: header('content-type'), ContentRange: header('content-range'), ETag: header('etag'),
    Metadata: Object.fromEntries(Object.entries(headers).filter(([name]) => name.startsWith(METADATA)).map(([name, value]) => [name.slice(METADATA.length), value as string])),
    ServerSideEncryption: header('x-amz-server-side-encryption') as GetObjectCommandOutput['ServerSideEncryption'],
    SSECustomerAlgorithm: header('x-amz-server-side-encryption-customer-algorithm'),
    ChecksumType: header('x-amz-checksum-type') as GetObjectCommandOutput['ChecksumType'],
    ChecksumSHA256: header('x-amz-checksum-sha256'), ChecksumSHA1: header('x-amz-checksum-sha1'), ChecksumCRC64NVME: header('x-amz-checksum-crc64nvme'),
    ChecksumCRC32C: header('x-amz-checksum-crc32c'), ChecksumCRC32: header('x-amz-checksum-crc32'),
  };
}

const METADATA = 'x-amz-meta-';

async function errorOf({ statusCode, body }: HttpResponse): Promise<Error> {
  const answer = await text(body);
  const name = /<Code>([\w.]+)<\/Code>/.exec(answer)?.[1] ?? 'UnknownError';
  return Object.assign(new Error(`S3 answers ${statusCode} (${name})`), { name, $metadata: { httpStatusCode: statusCode } });
}
