/**
 * What an error of the S3 client means: whether to ask again, to give up this object, or to give up.
 * https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
 */
import { RealmliftError } from '../../errors.js';
import { diskFault } from '../export-directory.js';
import { Lost } from '../file-store.js';

export type Meaning =
  | { readonly kind: 'retry'; readonly throttled: boolean }
  /** The credentials are no longer good; a fresh set may be. */
  | { readonly kind: 'credentials' }
  /** The object must be read from its start. */
  | { readonly kind: 'restart'; readonly error: Restart }
  | { readonly kind: 'lost'; readonly lost: Lost }
  | { readonly kind: 'fatal'; readonly error: unknown };

/** A response that breaks off or contradicts itself; asked for again. */
export class BadResponse extends Error {}

/** A body of the right length whose bytes do not match its checksum; asked for again. */
export class Corrupt extends BadResponse {}

/** Something between us and the store answered in its place; asked for again, by the SDK's own repetitions too. */
export class Unconfirmed extends BadResponse {
  readonly $retryable = { throttling: false };
}

/** Every object comes with its ETag and its time: what has neither is a page of something between us and the store. @throws BadResponse */
export function requireObject({ ETag, LastModified }: { readonly ETag?: string | undefined; readonly LastModified?: Date | undefined }): void {
  if (ETag === undefined && LastModified === undefined) throw new BadResponse('something else than the store has answered');
}

/** The store let a connection hang; asked for again. */
export class Hung extends Error {}

/** What was read of the object so far is of no use, or cannot be gone on with. */
class Restart extends Error {}

/** The object was replaced between two of its parts. */
export class ObjectChanged extends Restart {}

/** The server answers a request for a range with something else. */
export class RangesIgnored extends Restart {}

const EXPIRED = new Set(['ExpiredToken', 'ExpiredTokenException', 'TokenRefreshRequired', 'InvalidToken', 'RequestExpired']);
const REFUSED = new Set(['InvalidAccessKeyId', 'SignatureDoesNotMatch', 'AuthorizationHeaderMalformed', 'CredentialsProviderError', 'AccountProblem', 'NotSignedUp', 'InvalidSecurity']);
const THROTTLES = new Set(['SlowDown', 'Throttling', 'ThrottlingException', 'RequestLimitExceeded', 'TooManyRequests', 'ServiceUnavailable', 'BandwidthLimitExceeded']);
const ABSENT = new Set(['NoSuchKey', 'NotFound', 'NoSuchVersion']);
const CERTIFICATE = /CERT|SELF_SIGNED|UNABLE_TO_(GET|VERIFY)|ERR_TLS/;

export function meaningOf(error: unknown): Meaning {
  if (error instanceof Lost) return { kind: 'lost', lost: error };
  if (error instanceof RealmliftError) return { kind: 'fatal', error };
  if (error instanceof Restart) return { kind: 'restart', error };
  if (error instanceof BadResponse || error instanceof Hung) return { kind: 'retry', throttled: false };
  const full = diskFault(error);
  if (full !== undefined) return { kind: 'fatal', error: full };

  const { name, status, code } = particulars(error);
  if (name === 'NoSuchBucket') return { kind: 'fatal', error: new RealmliftError('BUCKET_MISSING', 'files', 'the bucket is gone', { cause: error }) };
  if (EXPIRED.has(name)) return { kind: 'credentials' };
  if (REFUSED.has(name)) return { kind: 'fatal', error: credentialsRefused(name, error) };
  if (name === 'PreconditionFailed' || status === 412 || status === 416) return { kind: 'restart', error: new ObjectChanged('the object was replaced while it was read', { cause: error }) };
  if (name === 'InvalidObjectState') return { kind: 'lost', lost: new Lost('forbidden', 'the object is archived (InvalidObjectState)', error) };
  if (name === 'RequestTimeTooSkewed' || name === 'RequestTimeout' || status === 408) return { kind: 'retry', throttled: false };
  if (THROTTLES.has(name) || status === 429 || status === 503) return { kind: 'retry', throttled: true };
  if (ABSENT.has(name) || status === 404) return { kind: 'lost', lost: new Lost('absent', 'there is no such object', error) };
  if (status === 401 || status === 403) return { kind: 'lost', lost: new Lost('forbidden', `the store refuses it (${name})`, error) };
  if (CERTIFICATE.test(code)) return { kind: 'fatal', error: certificateRefused(code, error) };
  if (status !== undefined && status >= 400 && status < 500) return { kind: 'lost', lost: new Lost('fault', `the store answers ${status} (${name})`, error) };
  return { kind: 'retry', throttled: false };
}

/** Name, HTTP status and system error code of an error of the client, as far as it has them. */
export function particulars(error: unknown): { name: string; status: number | undefined; code: string } {
  const { name, Code, code, $metadata, $response } = error as {
    name?: string; Code?: string; code?: string; $metadata?: { httpStatusCode?: number }; $response?: { statusCode?: number };
  };
  return { name: Code ?? name ?? 'unknown', status: $metadata?.httpStatusCode ?? $response?.statusCode, code: code ?? '' };
}

/** An error of the client for a message: `AccessDenied, 403`, `HTTP 502`, `ECONNRESET`. */
export function s3Reason(error: unknown): string {
  const { name, status, code } = particulars(error);
  if (isSilence(error) && !(error instanceof Hung)) return 'no byte came or went for too long';
  if (error instanceof BadResponse || error instanceof Hung || error instanceof Restart) return error.message;
  if (status === undefined) return code || name;
  const said = code || (/^(Unknown|Error$)/.test(name) ? '' : name);
  return said === '' ? `HTTP ${status}` : `${said}, ${status}`;
}

/** True when nothing came, or went, for the time allowed: here or as the client has it, which also gives that name to connections that broke. */
export function isSilence(error: unknown): boolean {
  const { name, code } = particulars(error);
  return error instanceof Hung || (name === 'TimeoutError' && code === '');
}

export function credentialsRefused(name: string, cause: unknown): RealmliftError {
  return name === 'CredentialsProviderError'
    ? new RealmliftError('S3_CREDENTIALS_MISSING', 'files', 'no credentials for S3', { hint: 'set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE to a profile that ~/.aws has with keys, or use an instance role', cause })
    : new RealmliftError('S3_CREDENTIALS_REFUSED', 'files', `S3 refuses the credentials (${name})`, { hint: 'check the access key, its secret and S3_REGION', cause });
}

function certificateRefused(code: string, cause: unknown): RealmliftError {
  return new RealmliftError('S3_CERTIFICATE', 'files', `the certificate of the S3 server is not trusted (${code})`, { hint: 'give its authority with --ca-file or NODE_EXTRA_CA_CERTS', cause });
}
