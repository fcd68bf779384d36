/**
 * A proxy before a real S3 server that does to its answers what networks and servers do: cut them, shorten them, change a
 * byte, refuse, hang. A test says for each request which fault it meets.
 */
import { createServer, request } from 'node:http';
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';

/** What a test sees of a request. */
export interface Seen {
  readonly method: string;
  /** Decoded path with its query, e.g. `/zulip-uploads/2/a/b?list-type=2`. */
  readonly path: string;
  readonly range: string | undefined;
  readonly headers: IncomingHttpHeaders;
  /** How often this method, path and range came before. */
  readonly repeat: number;
}

export type Fault =
  /** The connection is reset after `after` bytes of the body. */
  | { readonly kind: 'reset'; readonly after: number }
  /** The body ends early, below its announced length. */
  | { readonly kind: 'short'; readonly by: number }
  /** Fewer bytes come, and the length says so: nothing is wrong but the content. */
  | { readonly kind: 'wrong-length'; readonly by: number }
  /** One byte of the body is another. */
  | { readonly kind: 'corrupt'; readonly at: number }
  /** Headers of the answer are replaced; undefined removes one. */
  | { readonly kind: 'headers'; readonly headers: Readonly<Record<string, string | undefined>> }
  /** The body is replaced, its length with it. */
  | { readonly kind: 'body'; readonly change: (body: string) => string }
  /** The server is not asked. */
  | { readonly kind: 'status'; readonly status: number; readonly body?: string }
  /** Nothing comes after `after` bytes, and the connection stays. */
  | { readonly kind: 'hang'; readonly after: number }
  /** The Range header does not reach the server. */
  | { readonly kind: 'no-range' };

export interface FaultyProxy {
  readonly endpoint: string;
  /** All requests so far. */
  readonly seen: readonly Seen[];
}

/** Runs `work` with a proxy to `endpoint`. `fault` may do things of its own before it answers. */
export async function withFaultyProxy<T>(
  endpoint: string, fault: (seen: Seen) => Fault | undefined | Promise<Fault | undefined>, work: (proxy: FaultyProxy) => Promise<T>,
): Promise<T> {
  const seen: Seen[] = [];
  const server = createServer((incoming, answer) => {
    const each = see(incoming, seen);
    seen.push(each);
    pass(endpoint, incoming, answer, Promise.resolve(fault(each))).catch(() => answer.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    return await work({ endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen });
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

/** An error answer as S3 spells it. */
export function s3Error(status: number, code: string): Fault {
  return { kind: 'status', status, body: `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>as the test asked</Message></Error>` };
}

function see({ method = '', url = '', headers }: IncomingMessage, before: readonly Seen[]): Seen {
  const path = decodeURIComponent(url.replace(/[?&]x-id=\w+/, ''));
  const { range } = headers;
  return { method, path, range, headers, repeat: before.filter((each) => each.method === method && each.path === path && each.range === range).length };
}

async function pass(endpoint: string, incoming: IncomingMessage, answer: ServerResponse, asked: Promise<Fault | undefined>): Promise<void> {
  const fault = await asked;
  if (fault?.kind === 'status') {
    incoming.resume();
    answer.writeHead(fault.status, { 'content-type': 'application/xml', 'content-length': Buffer.byteLength(fault.body ?? '') }).end(incoming.method === 'HEAD' ? undefined : fault.body);
    return;
  }
  const upstream = await forward(endpoint, incoming, fault);
  const body = await buffer(upstream);
  const headers: Record<string, string | string[] | undefined> = { ...upstream.headers };
  const status = upstream.statusCode ?? 502;
  const start = (length: number): void => {
    const all = { ...headers, 'content-length': String(length), 'transfer-encoding': undefined };
    answer.writeHead(status, Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)));
  };
  switch (fault?.kind) {
    case 'reset':
      start(body.length);
      answer.write(body.subarray(0, fault.after), () => answer.socket?.resetAndDestroy());
      break;
    case 'short':
      start(body.length);
      answer.write(body.subarray(0, body.length - fault.by), () => answer.socket?.end());
      break;
    case 'wrong-length':
      start(body.length - fault.by);
      answer.end(body.subarray(0, body.length - fault.by));
      break;
    case 'corrupt':
      body[fault.at] = (body[fault.at] ?? 0) ^ 1;
      start(body.length);
      answer.end(body);
      break;
    case 'hang':
      start(body.length);
      answer.write(body.subarray(0, fault.after));
      break;
    case 'body': {
      const changed = Buffer.from(fault.change(body.toString()));
      start(changed.length);
      answer.end(changed);
      break;
    }
    case 'headers':
      Object.assign(headers, fault.headers);
      start(body.length);
      answer.end(body);
      break;
    default:
      start(body.length);
      answer.end(body);
  }
}

async function forward(endpoint: string, incoming: IncomingMessage, fault: Fault | undefined): Promise<IncomingMessage> {
  const { hostname, port } = new URL(endpoint);
  const headers = { ...incoming.headers };
  if (fault?.kind === 'no-range') delete headers.range;
  const body = await buffer(incoming);
  return new Promise((resolve, reject) => {
    request({ hostname, port, method: incoming.method, path: incoming.url, headers }, resolve).on('error', reject).end(body);
  });
}
