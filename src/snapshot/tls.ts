/**
 * libpq's sslmode in the terms of Node's TLS: which ways of connecting are tried, in which order, and what is verified.
 * https://www.postgresql.org/docs/current/libpq-ssl.html
 */
import { existsSync, readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import type { ConnectionOptions, SecureVersion } from 'node:tls';
import { EXIT, RealmliftError } from '../errors.js';
import { homeFile } from '../home-file.js';
import { ioReason } from '../io-reason.js';
import { notUnderstood, type Keywords } from './connection-string.js';

/** One way to try. Plain data: settings travel to worker threads, which a function cannot. */
export interface Tls {
  /** False is plain TCP. */
  readonly ssl: ConnectionOptions | false;
  /** The name that the server's certificate must bear; undefined when it is not looked at. */
  readonly serverName?: string;
}

const MODES = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'];
const VERSIONS: readonly string[] = ['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3'] satisfies SecureVersion[];

/** Files that libpq takes when none is named, in ~/.postgresql. */
const DEFAULT_FILES = { sslrootcert: 'root.crt', sslcert: 'postgresql.crt', sslkey: 'postgresql.key', sslcrl: 'root.crl' } as const;

/**
 * The ways to try, in order. A unix socket is always plain; `prefer`, libpq's default, is TLS without verification and then plain.
 *
 * @param host the server's name, which its certificate must bear under verify-full
 * @throws RealmliftError CONNECTION_STRING for an unknown mode, CONNECTION_FILE when a certificate cannot be read
 */
export function tlsTries(settings: Keywords, host: string): readonly Tls[] {
  const mode = settings.sslrootcert === 'system' ? 'verify-full' : (settings.sslmode ?? 'prefer');
  if (!MODES.includes(mode)) throw notUnderstood(`sslmode is one of ${MODES.join(', ')}`);
  const plain: Tls = { ssl: false };
  if (host.startsWith('/') || mode === 'disable') return [plain];
  // As in libpq, a root certificate makes `require` as strict as verify-ca.
  const rejectUnauthorized = mode.startsWith('verify') || (mode === 'require' && fileName(settings, 'sslrootcert') !== undefined);
  const servername = isIP(host) === 0 ? { servername: host } : {};
  const tls: Tls = {
    ssl: { ...files(settings), ...versions(settings), ...servername, rejectUnauthorized },
    ...(mode === 'verify-full' ? { serverName: host } : {}),
  };
  return mode === 'allow' ? [plain, tls] : mode === 'prefer' ? [tls, plain] : [tls];
}

function files(settings: Keywords): ConnectionOptions {
  const [ca, cert, key, crl] = (['sslrootcert', 'sslcert', 'sslkey', 'sslcrl'] as const).map((keyword) => contents(settings, keyword));
  return {
    ...(ca === undefined ? {} : { ca }), ...(cert === undefined ? {} : { cert }), ...(key === undefined || cert === undefined ? {} : { key }), ...(crl === undefined ? {} : { crl }),
    ...(settings.sslpassword === undefined ? {} : { passphrase: settings.sslpassword }),
  };
}

function versions({ ssl_min_protocol_version: min, ssl_max_protocol_version: max }: Keywords): ConnectionOptions {
  for (const version of [min, max]) if (version !== undefined && !VERSIONS.includes(version)) throw notUnderstood(`a TLS version is one of ${VERSIONS.join(', ')}`);
  return { ...(min === undefined ? {} : { minVersion: min as SecureVersion }), ...(max === undefined ? {} : { maxVersion: max as SecureVersion }) };
}

/** The file to read: the one named, else the default one if it is there; `system` means Node's own root certificates. */
function fileName(settings: Keywords, keyword: keyof typeof DEFAULT_FILES): string | undefined {
  const named = settings[keyword];
  if (named === 'system') return undefined;
  if (named !== undefined) return named;
  const standard = homeFile('.postgresql', DEFAULT_FILES[keyword]);
  return standard !== undefined && existsSync(standard) ? standard : undefined;
}

function contents(settings: Keywords, keyword: keyof typeof DEFAULT_FILES): string | undefined {
  const file = fileName(settings, keyword);
  if (file === undefined) return undefined;
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new RealmliftError('CONNECTION_FILE', 'usage', `cannot read ${file}, the file of ${keyword}: ${ioReason(cause)}`, {
      hint: `check ${keyword} and the rights of the file`, exit: EXIT.usage, cause,
    });
  }
}
