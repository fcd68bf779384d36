/**
 * A libpq connection string, taken apart into libpq's keywords: a URI or `keyword=value` pairs.
 *
 * Read here and not by the driver's own parser, which knows no list of hosts, opens the files that it names, and prints a
 * warning for every sslmode. No part of the string goes into an error, but for a keyword's name where no password is near: what
 * looks like a host may be the rest of a password with an unescaped @ or /.
 * https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING
 */
import { EXIT, RealmliftError } from '../errors.js';

/** The keywords that are obeyed. */
const OBEYED = [
  'host', 'hostaddr', 'port', 'dbname', 'user', 'password', 'passfile', 'service', 'options', 'connect_timeout', 'target_session_attrs', 'channel_binding',
  'sslmode', 'sslnegotiation', 'sslrootcert', 'sslcert', 'sslkey', 'sslpassword', 'sslcrl', 'ssl_min_protocol_version', 'ssl_max_protocol_version',
] as const;

/** A keyword that is obeyed. */
export type Keyword = (typeof OBEYED)[number];

/** Values by keyword; empty text is as good as absent. */
export type Keywords = Partial<Record<Keyword, string>>;

/**
 * Keywords that need no obedience: they tune what a run does not use or sets itself. One that is in neither list is refused, so that
 * neither a typing error (sslmod=require) nor a demand that the driver cannot meet (require_auth) passes in silence.
 */
const IGNORED: readonly string[] = [
  'application_name', 'fallback_application_name', 'client_encoding', 'keepalives', 'keepalives_idle', 'keepalives_interval', 'keepalives_count',
  'tcp_user_timeout', 'gssencmode', 'gsslib', 'gssdelegation', 'krbsrvname', 'load_balance_hosts', 'sslcompression', 'sslsni', 'sslcertmode',
  'min_protocol_version', 'max_protocol_version',
];

/** @throws RealmliftError CONNECTION_STRING when it is not understood */
export function parseConnectionString(text: string): Keywords {
  const scheme = /^postgres(?:ql)?:\/\//.exec(text)?.[0];
  const pairs = scheme === undefined ? keywordValuePairs(text) : uriPairs(text.slice(scheme.length));
  return obeyed(pairs);
}

/** Keeps what is obeyed of pairs that libpq would take; also used for service files. */
export function obeyed(pairs: readonly (readonly [keyword: string, value: string])[]): Keywords {
  const out: Keywords = {};
  // What seems a keyword behind a password may be the rest of it.
  const secret = pairs.some(([keyword]) => keyword === 'password');
  for (const [keyword, value] of pairs) {
    // JDBC's spelling, which libpq takes too.
    if (keyword === 'ssl' && value === 'true') out.sslmode = 'require';
    else if (OBEYED.includes(keyword as Keyword)) out[keyword as Keyword] = value;
    else if (!IGNORED.includes(keyword)) throw notUnderstood(secret ? 'a keyword is unknown' : `realmlift does not know the keyword ${keyword}`);
  }
  return out;
}

/** `key=value key='quoted value'` with backslash escapes. */
function keywordValuePairs(text: string): [string, string][] {
  const out: [string, string][] = [];
  const pattern = /\s*([a-z_]+)\s*=\s*(?:'((?:[^'\\]|\\[^])*)'|((?:[^\s'\\]|\\[^])*))(?:\s+|$)/gy;
  while (pattern.lastIndex < text.length) {
    const match = pattern.exec(text);
    if (match === null) throw notUnderstood('the text is neither a postgresql:// URI nor keyword=value pairs');
    out.push([match[1] as string, (match[2] ?? match[3] ?? '').replace(/\\([^])/g, '$1')]);
  }
  return out;
}

/** `[user[:password]@][host[:port][,…]][/dbname][?keyword=value&…]`, cut where libpq cuts it, then percent-decoded. */
function uriPairs(rest: string): [string, string][] {
  const out: [string, string][] = [];
  const add = (keyword: string, raw: string | undefined): void => {
    if (raw !== undefined && raw !== '') out.push([keyword, decode(raw)]);
  };
  const [, user, password, afterUser = ''] = /^(?:([^:@/]*)(?::([^@/]*))?@)?([^]*)$/.exec(rest) ?? [];
  add('user', user);
  add('password', password);
  const [, hosts = '', database, query] = /^([^/?]*)(?:\/([^?]*))?(?:\?([^]*))?$/.exec(afterUser) ?? [];
  if (`${hosts}${database ?? ''}`.includes('@')) throw notUnderstood('an @ stands where none may: percent-encode the @ and the / of a password as %40 and %2F');
  const list = hosts.split(',').map((host) => {
    const [, bracketed, name, port] = /^(?:\[([^\]]*)\]|([^:]*))(?::([^:]*))?$/.exec(host) ?? [];
    if (bracketed === undefined && name === undefined) throw notUnderstood('a host is not understood; an IPv6 address is written in brackets');
    return { host: bracketed ?? name ?? '', port: port ?? '' };
  });
  add('host', list.map(({ host }) => host).join(',').replace(/^,*$/, ''));
  add('port', list.map(({ port }) => port).join(',').replace(/^,*$/, ''));
  add('dbname', database);
  for (const pair of query === undefined || query === '' ? [] : query.split('&')) {
    const [keyword, value] = pair.split(/=([^]*)/) as [string, string | undefined];
    if (value === undefined) throw notUnderstood('a parameter after the ? has no value');
    out.push([decode(keyword), decode(value)]);
  }
  return out;
}

/** Percent-decoding alone: libpq leaves a plus sign as it is. */
function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw notUnderstood('a percent sign is not followed by two hexadecimal digits of UTF-8');
  }
}

export function notUnderstood(reason: string): RealmliftError {
  return new RealmliftError('CONNECTION_STRING', 'usage', `the connection settings are not understood: ${reason}`, {
    hint: 'for example postgresql://zulip@db.example/zulip?sslmode=require, or set PGHOST, PGUSER and PGDATABASE', exit: EXIT.usage,
  });
}
