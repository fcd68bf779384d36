/**
 * libpq's password file, `~/.pgpass`: lines `host:port:database:user:password`, where `*` matches anything and a backslash
 * escapes a colon or a backslash. The first line that matches counts.
 * https://www.postgresql.org/docs/current/libpq-pgpass.html
 */
import { readFileSync, statSync } from 'node:fs';

/** The socket directories of Debian and of upstream: libpq looks up a server behind its default one as `localhost`. */
const DEFAULT_SOCKET_DIRECTORIES = ['/var/run/postgresql', '/tmp'];

export interface PasswordFileEntry {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
}

/**
 * The password for a connection; undefined when the file is absent, has no line for it, may not be read (another user's HOME, as after sudo), or
 * may be read by others than its owner: libpq ignores such files.
 */
export function passwordFromFile(file: string, wanted: PasswordFileEntry): string | undefined {
  const content = contentOf(file);
  if (content === undefined) return undefined;
  const host = DEFAULT_SOCKET_DIRECTORIES.includes(wanted.host) ? 'localhost' : wanted.host;
  const fields = [host, String(wanted.port), wanted.database, wanted.user];
  for (const line of content.split(/\r?\n/)) {
    if (line.startsWith('#')) continue;
    const entry = /^((?:[^:\\]|\\.)*):((?:[^:\\]|\\.)*):((?:[^:\\]|\\.)*):((?:[^:\\]|\\.)*):((?:[^:\\]|\\.)*)/.exec(line)?.slice(1);
    if (entry === undefined) continue;
    if (fields.every((field, index) => entry[index] === '*' || unescape(entry[index]) === field)) return unescape(entry[4]);
  }
  return undefined;
}

function contentOf(file: string): string | undefined {
  try {
    const stat = statSync(file);
    return stat.isFile() && (process.platform === 'win32' || (stat.mode & 0o077) === 0) ? readFileSync(file, 'utf8') : undefined;
  } catch {
    return undefined;
  }
}

function unescape(text = ''): string {
  return text.replace(/\\(.)/g, '$1');
}
