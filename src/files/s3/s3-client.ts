/**
 * The connection to S3: the AWS SDK's client under a retry of our own, because the SDK's does not cover a body that breaks
 * off, nor slow down all transfers together when one is told to.
 */
import { createHash, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import { rootCertificates } from 'node:tls';
import { HeadObjectCommand, S3Client } from '@aws-sdk/client-s3';
import type { CompleteMultipartUploadCommandInput, HeadObjectCommandOutput, ListObjectsV2CommandOutput, S3ClientConfig } from '@aws-sdk/client-s3';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import { EXIT, RealmliftError } from '../../errors.js';
import { homeFile } from '../../home-file.js';
import { Lost } from '../file-store.js';
import { RequestLimiter } from './request-limiter.js';
import { keepTemplates } from './s3-object-request.js';
import { Corrupt, Hung, credentialsRefused, isSilence, meaningOf, Unconfirmed } from './s3-fault.js';

export interface S3Connection {
  /** URL of a server other than AWS. Else AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL or the profile's endpoint_url, as the SDK finds them. */
  readonly endpoint?: string | undefined;
  /** Else AWS_REGION, AWS_DEFAULT_REGION or the profile's, else us-east-1. */
  readonly region?: string | undefined;
  /** `https://host/bucket/key` instead of `https://bucket.host/key`. Default: with an endpoint. */
  readonly forcePathStyle?: boolean | undefined;
  /** PEM file of a certificate authority to trust beside the usual ones. */
  readonly caFile?: string | undefined;
  /** Default: the SDK's chain (environment, profile, SSO, process, container, instance). */
  readonly credentials?: S3ClientConfig['credentials'];
  /** Requests at once. Default 32. */
  readonly jobs?: number | undefined;
  /** Seconds without a byte after which a connection is cut. Default 60. */
  readonly timeout?: number | undefined;
  /** Seconds within which a server has to say its first word. Default 120: of one that has answered before, each request is made as often as `attempts` says. */
  readonly firstWord?: number | undefined;
  /** How often a request is made before the object is given up. Default 8: with the default backoff 45 s at most. */
  readonly attempts?: number | undefined;
  /** Milliseconds: the second attempt comes after up to twice as many, each further one after up to twice the time, or 20 s. Default 200. */
  readonly backoff?: number | undefined;
}

// The client says on stderr that Node 20 is old; stderr is for what the reader must act on.
process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= 'true';

const JOBS = 32;
const TIMEOUT = 60;
const ATTEMPTS = 8;
const FIRST_WORD = 120;

/** A body that is wrong this often will be wrong the next time. */
const CORRUPT_ATTEMPTS = 3;

/** Objects given up in a row, without any answer between them, after which the store is held to be gone. */
const GONE_AFTER = 10;

/** Milliseconds. */
const LONGEST_PAUSE = 20_000;

export class S3Access {
  readonly limiter: RequestLimiter;
  readonly jobs: number;
  readonly #connection: S3Connection;
  readonly #agents: Agents;
  readonly #timeout: number;
  readonly #firstWord: FirstWord;
  #client: S3Client;
  /** Objects given up since the store last answered. */
  #givenUp = 0;

  constructor(connection: S3Connection) {
    this.#connection = connection;
    this.jobs = connection.jobs ?? JOBS;
    this.limiter = new RequestLimiter(this.jobs);
    this.#timeout = (connection.timeout ?? TIMEOUT) * 1000;
    this.#agents = newAgents(connection);
    this.#firstWord = new FirstWord(connection);
    this.#client = this.#newClient();
  }

  /**
   * Makes a request and reads its answer, again and again while that can help.
   *
   * @param request is given the client, a signal and a function to call whenever bytes arrive
   * @param attempts how often at most; default as the connection says
   * @throws Lost when the object is to be given up; RealmliftError when all are
   */
  async request<T>(
    signal: AbortSignal, request: (client: S3Client, signal: AbortSignal, alive: () => void) => Promise<T>, attempts = this.#connection.attempts ?? ATTEMPTS,
  ): Promise<T> {
    let refreshed = false;
    let corrupt = 0;
    const begun = performance.now();
    for (let attempt = 1; ; attempt += 1) {
      signal.throwIfAborted();
      const client = this.#client;
      try {
        const result = await this.limiter.run(() => this.#watched(signal, (watch, alive) => request(client, watch, () => {
          this.#firstWord.heard();
          alive();
        })));
        this.#firstWord.heard();
        this.limiter.succeeded();
        this.#givenUp = 0;
        return result;
      } catch (error) {
        if (signal.aborted) throw signal.reason;
        this.#firstWord.failed(error, begun);
        const meaning = meaningOf(error);
        switch (meaning.kind) {
          case 'fatal': throw meaning.error;
          case 'lost':
            this.#givenUp = 0;
            throw meaning.lost;
          case 'restart': throw meaning.error;
          case 'credentials':
            if (refreshed) throw credentialsRefused((error as Error).name, error);
            refreshed = true;
            // Others may have renewed it meanwhile.
            if (this.#client === client) this.#client = this.#newClient();
            continue;
          case 'retry':
            if (meaning.throttled) this.limiter.throttled();
        }
        if (error instanceof Corrupt) corrupt += 1;
        if (attempt === attempts || corrupt === CORRUPT_ATTEMPTS) {
          this.#givenUp += 1;
          throw this.#givenUp < GONE_AFTER || corrupt > 0 ? givenUp(error, attempt) : gone(error);
        }
        await sleep(Math.random() * Math.min(LONGEST_PAUSE, (this.#connection.backoff ?? 200) * 2 ** attempt), undefined, { signal }).catch(() => signal.throwIfAborted());
      }
    }
  }

  close(): void {
    this.#client.destroy();
    this.#agents.httpAgent.destroy();
    this.#agents.httpsAgent.destroy();
  }

  /** Runs `work` with a signal that fires when `alive` is not called for the time allowed. */
  async #watched<T>(signal: AbortSignal, work: (watch: AbortSignal, alive: () => void) => Promise<T>): Promise<T> {
    // Not AbortSignal.any: in Node 20 each composite stays reachable from a signal that lives as long as the run.
    const watch = new AbortController();
    const stop = (): void => watch.abort(signal.reason);
    const timer = setTimeout(() => watch.abort(new Hung(`no byte for ${this.#timeout / 1000} s`)), this.#timeout);
    signal.addEventListener('abort', stop, { once: true });
    try {
      return await work(watch.signal, () => void timer.refresh());
    } catch (error) {
      throw watch.signal.aborted ? watch.signal.reason : error;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', stop);
    }
  }

  #newClient(): S3Client {
    // Silence is cut before; this is for what it has cut and could not end.
    const client = newS3Client({ ...this.#connection, attempts: 1 }, this.#agents, 2 * this.#timeout);
    keepTemplates(client);
    return client;
  }
}

/** Whether a server has ever said something: one that never does is not asked as often as one that falls silent for a while. */
class FirstWord {
  readonly #connection: S3Connection;
  #isHeard = false;

  constructor(connection: S3Connection) {
    this.#connection = connection;
  }

  heard(): void {
    this.#isHeard = true;
  }

  /** @param error of a request @param since when it was made first, as performance.now() has it @throws RealmliftError S3_UNREACHABLE when the server has had its time */
  failed(error: unknown, since: number): void {
    if (!isSilence(error)) this.heard();
    const { endpoint, firstWord = FIRST_WORD } = this.#connection;
    const seconds = (performance.now() - since) / 1000;
    if (this.#isHeard || seconds < firstWord) return;
    // Without its cause, for which the SDK would try again.
    throw new RealmliftError('S3_UNREACHABLE', 'files', `${endpoint === undefined ? 'S3' : `the S3 server at ${describeServer({ endpoint })}`} lets connections hang, and has said nothing for ${Math.round(seconds)} s`, { hint: 'is S3_ENDPOINT that of the store, and is the store up?', again: true });
  }
}

/** The SDK would ask a server that never says anything as often as one that falls silent for a while. */
function giveUpSilent(client: S3Client, connection: S3Connection): void {
  const firstWord = new FirstWord(connection);
  /** When each call was made first: its repetitions have the same input. */
  const begun = new WeakMap<object, number>();
  client.middlewareStack.add((next) => async (call) => {
    const since = begun.get(call.input) ?? performance.now();
    begun.set(call.input, since);
    try {
      const answer = await next(call);
      firstWord.heard();
      return answer;
    } catch (error) {
      firstWord.failed(error, since);
      throw error;
    }
  }, { step: 'finalizeRequest', priority: 'low', name: 'giveUpSilent' });
}

/** As the SDK finds it, which ends where there is none. */
function regionOfProfile(): () => Promise<string> {
  let found: Promise<string> | undefined;
  return () => found ??= new S3Client({}).config.region().catch(() => 'us-east-1');
}

/**
 * A client with these settings.
 *
 * @param agents connections to share with other clients; default: its own
 * @param silence milliseconds without a byte in either direction after which a connection is cut; default as the connection says
 */
export function newS3Client(connection: S3Connection, agents = newAgents(connection), silence = (connection.timeout ?? TIMEOUT) * 1000): S3Client {
  const { endpoint, region, credentials, forcePathStyle, timeout = TIMEOUT } = connection;
  // The SDK looks for ~/.aws and ends where there is no home; Docker too gives such a user this one.
  if (homeFile() === undefined) process.env.HOME = '/';
  const client = new S3Client({
    region: region ?? process.env.AWS_REGION ?? process.env.AWS_DEFAULT_REGION ?? regionOfProfile(),
    ...(forcePathStyle === undefined ? {} : { forcePathStyle }),
    followRegionRedirects: endpoint === undefined,
    maxAttempts: connection.attempts ?? ATTEMPTS,
    cacheMiddleware: true,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: new NodeHttpHandler({ ...agents, connectionTimeout: timeout * 1000, socketTimeout: silence }),
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(credentials === undefined ? {} : { credentials }),
  });
  giveUpSilent(client, connection);
  const { endpointProvider } = client.config;
  // Also with an endpoint that the SDK has found itself.
  if (forcePathStyle === undefined) client.config.endpointProvider = (to, context) => endpointProvider({ ...to, ForcePathStyle: to.ForcePathStyle === true || to.Endpoint !== undefined }, context);
  // Asks for an object's stored checksums; the client itself would ask only to check them in a stream of its own.
  client.middlewareStack.add((next, { commandName }) => async (call) => {
    const { headers } = call.request as { headers: Record<string, string> };
    if (commandName === 'GetObjectCommand') headers['x-amz-checksum-mode'] = 'ENABLED';
    return next(call);
  }, { step: 'build', name: 'askForChecksums' });
  client.middlewareStack.add((next, { commandName }) => async (call) => {
    const answer = await next(call);
    if (STORING.has(commandName ?? '') && !hasETag(answer.output)) throw new Unconfirmed('the answer does not name what was stored');
    if (commandName === 'ListObjectsV2Command' && !isListing(answer.output)) throw new Unconfirmed('something else than the store has answered');
    return answer;
  }, { step: 'deserialize', priority: 'high', name: 'confirmAnswer' });
  client.middlewareStack.add((next, { commandName }) => async (call) => {
    try {
      return await next(call);
    } catch (error) {
      if (commandName !== 'CompleteMultipartUploadCommand' || (error as Error).name !== 'NoSuchUpload') throw error;
      const completed = await completedBefore(client, call.input as CompleteMultipartUploadCommandInput);
      if (completed === undefined) throw error;
      return { response: undefined, output: completed };
    }
  }, { step: 'initialize', name: 'completedBefore' });
  return client;
}

/** The object that these parts are, where the answer to an earlier attempt was lost: the server then knows the upload no more. Its ETag is that of its parts' MD5s, where they are such. */
async function completedBefore(client: S3Client, { Bucket, Key, MultipartUpload: { Parts = [] } = {} }: CompleteMultipartUploadCommandInput): Promise<HeadObjectCommandOutput | undefined> {
  const digests = Buffer.from(Parts.map(({ ETag = '' }) => ETag.replaceAll('"', '')).join(''), 'hex');
  const found = await client.send(new HeadObjectCommand({ Bucket, Key })).catch(() => undefined);
  return found?.ETag?.replaceAll('"', '') === `${createHash('md5').update(digests).digest('hex')}-${Parts.length}` ? found : undefined;
}

/** What S3 answers with the ETag of the object or part that it has stored. */
const STORING = new Set(['PutObjectCommand', 'CopyObjectCommand', 'UploadPartCommand', 'UploadPartCopyCommand', 'CompleteMultipartUploadCommand']);

function hasETag(output: object = {}): boolean {
  const { ETag, CopyObjectResult, CopyPartResult } = output as Record<'ETag' | 'CopyObjectResult' | 'CopyPartResult', unknown>;
  const result = (CopyObjectResult ?? CopyPartResult) as { ETag?: string } | undefined;
  return (result?.ETag ?? ETag) !== undefined;
}

/** Also one without objects says how it is: a page of something between us and the store would be taken for an empty bucket. */
function isListing(output: object = {}): boolean {
  const { Name, IsTruncated, KeyCount, MaxKeys, Contents } = output as Partial<ListObjectsV2CommandOutput>;
  return [Name, IsTruncated, KeyCount, MaxKeys, Contents].some((each) => each !== undefined);
}

interface Agents { readonly httpAgent: HttpAgent; readonly httpsAgent: HttpsAgent }

function newAgents({ jobs = JOBS, caFile }: S3Connection): Agents {
  // Twice the requests: connections that are being cut count too.
  const sockets = { keepAlive: true, maxSockets: jobs * 2, scheduling: 'lifo' as const };
  return { httpAgent: new HttpAgent(sockets), httpsAgent: new HttpsAgent({ ...sockets, ...(caFile === undefined ? {} : { ca: authorities(caFile) }) }) };
}

/** The server's host, fit for a log. @throws RealmliftError S3_ENDPOINT */
export function describeServer({ endpoint }: S3Connection): string {
  if (endpoint === undefined) return 'AWS';
  const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw new RealmliftError('S3_ENDPOINT', 'usage', 'the S3 endpoint is not an http or https URL', { hint: 'for example S3_ENDPOINT=https://s3.example.com', exit: EXIT.usage });
  }
  return url.host;
}

function authorities(file: string): string[] {
  try {
    const pem = readFileSync(file, 'utf8');
    // TLS itself ignores what is no certificate, and then says of the server that nobody vouches for it.
    new X509Certificate(pem);
    return [...rootCertificates, pem];
  } catch (cause) {
    throw new RealmliftError('CA_FILE', 'files', `cannot read the certificate authority ${file}`, { hint: 'give a PEM file with --ca-file', cause });
  }
}

function gone(cause: unknown): RealmliftError {
  return new RealmliftError('S3_UNREACHABLE', 'files', `S3 stopped answering: the last ${GONE_AFTER} objects failed on every attempt`, {
    hint: 'it has to be back first', again: true, cause,
  });
}

function givenUp(error: unknown, attempts: number): Lost {
  const { name, message, code } = error as { name: string; message: string; code?: string };
  const what = code ?? (name === 'Error' ? message : name);
  const reason = error instanceof Hung ? 'timeout' : error instanceof Corrupt ? 'corrupt' : 'fault';
  return new Lost(reason, `given up after ${attempts} attempts: ${what}`, error);
}
