/**
 * A TCP proxy that makes the loopback interface a network: what a client sends waits for the latency, what comes back is held to a
 * rate per connection. It looks at no byte, so it costs little; one request on a kept-alive connection is one wait.
 */
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

export interface Line {
  /** Milliseconds that each request waits. */
  readonly latency: number;
  /** Bytes a second and connection, towards the client; Infinity for as fast as it goes. */
  readonly rate: number;
  /** The rate is of all connections together. */
  readonly shared?: boolean;
}

/** What has come too soon. */
interface Credit {
  bytes: number;
  last: number;
}

/** Starts a proxy to `endpoint`. It ends with the process. @returns its own endpoint */
export async function startSlowProxy(endpoint: string, line: Line): Promise<string> {
  const { hostname, port } = new URL(endpoint);
  const credit = (): Credit => ({ bytes: line.rate / 10, last: performance.now() });
  const common = credit();
  const server = createServer({ noDelay: true }, (client) => {
    const upstream = connect({ host: hostname, port: Number(port), noDelay: true });
    void delay(client, upstream, line.latency);
    void (line.rate === Infinity ? void upstream.pipe(client) : hold(upstream, client, line.rate, line.shared === true ? common : credit()));
    const end = (): void => {
      client.destroy();
      upstream.destroy();
    };
    for (const socket of [client, upstream]) socket.on('error', end).on('close', end);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function delay(from: Socket, to: Socket, latency: number): void {
  from.on('data', (chunk) => {
    if (latency === 0) to.write(chunk);
    else setTimeout(() => to.writable && to.write(chunk), latency);
  });
}

/** A credit of a tenth of a second, so that what a timer is late is not lost. */
async function hold(from: Socket, to: Socket, rate: number, credit: Credit): Promise<void> {
  try {
    for await (const chunk of from as AsyncIterable<Buffer>) {
      const now = performance.now();
      credit.bytes = Math.min(rate / 10, credit.bytes + ((now - credit.last) / 1000) * rate) - chunk.length;
      credit.last = now;
      if (!to.write(chunk)) await drained(to);
      if (credit.bytes < 0) await sleep((-credit.bytes / rate) * 1000);
    }
  } catch {
    // The connection was cut from the other side.
  }
}

async function drained(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      socket.off('drain', done).off('close', done);
      resolve();
    };
    socket.on('drain', done).on('close', done);
  });
}
