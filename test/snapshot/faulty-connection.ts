/** A TCP proxy before a real PostgreSQL server that, when a test says so, says nothing any more or something else. */
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { EXIT, RealmliftError } from '../../src/errors.js';

interface Pair {
  readonly inside: Socket;
  readonly outside: Socket;
}

export class FaultyConnection {
  /** URL of the database through the proxy, without TLS. */
  readonly url: string;
  /** Whether new connections pass on what they are sent. */
  deaf = false;
  /** Told of what a client sends, before it is passed on; it may hang that connection alone. */
  onSent: (bytes: Buffer, hang: () => void) => void = () => undefined;
  /** Waited for before a new connection carries anything. */
  onJoin: () => Promise<void> = () => Promise.resolve();
  readonly #server = createServer((inside) => this.#join(inside));
  readonly #target: URL;
  #pairs: Pair[] = [];

  /** Opens a proxy to the database at `url`. */
  static async open(url: string, parameters = ''): Promise<FaultyConnection> {
    const proxy = new FaultyConnection(url);
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    const through = new URL(url);
    through.host = `127.0.0.1:${(proxy.#server.address() as AddressInfo).port}`;
    through.search = `sslmode=disable${parameters}`;
    return Object.assign(proxy, { url: through.href });
  }

  private constructor(url: string) {
    this.url = url;
    this.#target = new URL(url);
  }

  /** The connections that there are stay open and carry nothing any more, in neither direction. */
  hang(): void {
    for (const pair of this.#pairs) hang(pair);
  }

  /** As hang, and takes nothing more from the clients: what they send fills the buffers on the way. */
  block(): void {
    for (const { inside, outside } of this.#pairs) for (const socket of [inside, outside]) socket.removeAllListeners('data').pause();
  }

  /** Sends the clients something that is not from the server, and what this says afterwards no more. */
  inject(bytes: Buffer): void {
    this.hang();
    for (const { inside } of this.#pairs) inside.write(bytes);
  }

  /** Cuts the connections that there are, by a reset: what is on its way is lost. */
  reset(): void {
    for (const { inside, outside } of this.#pairs) for (const socket of [inside, outside]) socket.resetAndDestroy();
    this.#pairs = [];
  }

  /** Takes no new connections. */
  refuse(): void {
    this.#server.close();
  }

  close(): void {
    this.refuse();
    for (const { inside, outside } of this.#pairs) {
      inside.destroy();
      outside.destroy();
    }
  }

  #join(inside: Socket): void {
    const outside = connect(Number(this.#target.port), this.#target.hostname);
    for (const socket of [inside, outside]) socket.on('error', () => undefined);
    const pair = { inside, outside };
    this.#pairs.push(pair);
    if (this.deaf) return void inside.resume();
    void this.onJoin().then(() => inside.on('data', (bytes: Buffer) => {
      this.onSent(bytes, () => hang(pair));
      if (inside.listenerCount('data') > 0) outside.write(bytes);
    }));
    outside.on('data', (bytes: Buffer) => {
      if (inside.write(bytes)) return;
      outside.pause();
      inside.once('drain', () => outside.resume());
    });
    inside.on('close', () => outside.destroy());
    outside.on('close', () => inside.destroy());
  }
}

function hang({ inside, outside }: Pair): void {
  inside.removeAllListeners('data').resume();
  outside.removeAllListeners('data').pause();
}

/**
 * Stops `work` when the server has been told to commit the last step of what it fills, whose answer nobody hears.
 * @param journal schema that the last step removes @param work is given the URL of the database through a proxy
 */
export async function stoppedAtLastCommit<T>(url: string, journal: string, work: (url: string, stop: AbortSignal) => Promise<T>): Promise<T> {
  const proxy = await FaultyConnection.open(url);
  const stop = new AbortController();
  let last = false;
  proxy.onSent = (bytes, hang) => {
    last ||= bytes.includes(`DROP SCHEMA "${journal}"`);
    if (!last || !bytes.includes('COMMIT')) return;
    // When it has been passed on.
    process.nextTick(() => {
      hang();
      stop.abort(new RealmliftError('STOPPED', 'restore', 'stopped', { exit: EXIT.interrupted }));
    });
  };
  try {
    return await work(proxy.url, stop.signal);
  } finally {
    proxy.close();
  }
}
