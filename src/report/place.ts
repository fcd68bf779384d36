/** Where an export is when somebody reads its page. */
import { basename } from 'node:path';
import type { Place } from '../export/outcome.js';
import { shellWord } from '../shell-word.js';

/** @param url of the directory below the bucket, or of the tarball */
export function inBucket(url: string): Place {
  const name = basename(url).replace(/\.tar\.gz$/, '');
  const fetch = url.endsWith('.tar.gz') ? `aws s3 cp ${shellWord(url)} - | tar -xz` : `aws s3 sync ${shellWord(url)} ${shellWord(name)}`;
  return { directory: name, fetch };
}

/** @param name of the export's directory in the archive that went to standard output */
export function inStream(name: string): Place {
  return { directory: name, fetch: `tar -xf ${shellWord(`${name}.tar`)}` };
}
