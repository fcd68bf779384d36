/** Where an export is when somebody reads its page. */
import { basename } from 'node:path';
import type { Place } from '../export/outcome.js';
import { shellWord } from '../shell-word.js';

/** @param url of the directory below the bucket, or of the tarball @param endpoint of a server other than AWS, which the AWS command line has no variable of ours for */
export function inBucket(url: string, endpoint: string | undefined): Place {
  const name = basename(url).replace(/\.tar\.gz$/, '');
  const at = endpoint === undefined ? '' : `--endpoint-url ${shellWord(endpoint)} `;
  const fetch = url.endsWith('.tar.gz') ? `aws ${at}s3 cp ${shellWord(url)} - | tar -xz` : `aws ${at}s3 sync ${shellWord(url)} ${shellWord(name)}`;
  return { directory: name, fetch };
}

/** @param name of the export's directory in the archive that went to standard output */
export function inStream(name: string): Place {
  return { directory: name, fetch: `tar -xf ${shellWord(`${name}.tar`)}` };
}
