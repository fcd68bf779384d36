/** How to reach S3, out of the environment; the keys and the region's default are the AWS SDK's own. */
import { EXIT, RealmliftError } from '../../errors.js';
import type { S3Connection } from './s3-client.js';

/**
 * S3_ENDPOINT, S3_REGION and, as Zulip has it, S3_ADDRESSING_STYLE; a variable without a value counts as not set.
 *
 * @throws RealmliftError S3_ADDRESSING
 */
export function s3Settings(env: Readonly<Record<string, string | undefined>>): S3Connection {
  const given = (name: string): string | undefined => (env[name] === '' ? undefined : env[name]);
  const style = given('S3_ADDRESSING_STYLE') ?? 'auto';
  if (!['auto', 'path', 'virtual'].includes(style)) {
    throw new RealmliftError('S3_ADDRESSING', 'usage', `S3_ADDRESSING_STYLE is ${style}`, { hint: 'path (HOST/BUCKET), virtual (BUCKET.HOST) or auto: path with S3_ENDPOINT', exit: EXIT.usage });
  }
  return { endpoint: given('S3_ENDPOINT'), region: given('S3_REGION'), ...(style === 'auto' ? {} : { forcePathStyle: style === 'path' }) };
}
