/**
 * A connection that reads into one buffer over and over, for rows that are used up at once: Node else makes a new buffer for every read,
 * 300 MB of them for 260 MB of rows, and V8 collects them by looking at all of its heap.
 */
import { Socket } from 'node:net';
import type { OnReadOpts, SocketConstructorOpts } from 'node:net';
import type { Duplex } from 'node:stream';
import type { ConnectionSettings } from '../snapshot/connection-settings.js';

/** Bytes: as Node reads by itself. */
const BUFFER = 64 * 1024;

/** The settings for a session that copies rows. Under TLS Node reads into buffers of its own. */
export function forCopying(settings: ConnectionSettings): ConnectionSettings {
  const { config } = settings;
  if (config.ssl !== false && config.ssl !== undefined) return settings;
  return { ...settings, config: { ...config, stream: () => new CopySocket() } };
}

type Reader = (chunk: Buffer) => void;

/**
 * Has all that a connection reads go to `reader` instead of `driver`, the listener that it has.
 *
 * @returns undoes it
 */
export function divert(stream: Duplex, driver: Reader, reader: Reader): () => void {
  if (stream instanceof CopySocket) {
    stream.reader = reader;
    return () => { stream.reader = undefined; };
  }
  stream.off('data', driver);
  stream.on('data', reader);
  return () => {
    stream.off('data', reader);
    stream.on('data', driver);
  };
}

export class CopySocket extends Socket {
  /** Takes what is read instead of the listeners of `data`; the bytes hold until it returns, or while the socket is paused. */
  reader: Reader | undefined;

  constructor() {
    const buffer = Buffer.allocUnsafeSlow(BUFFER);
    const callback = (length: number): boolean => {
      const chunk = buffer.subarray(0, length);
      if (this.reader !== undefined) this.reader(chunk);
      else this.emit('data', Buffer.from(chunk));
      return true;
    };
    // Its types do not know it, its documentation does.
    super({ onread: { buffer, callback } } as SocketConstructorOpts & { readonly onread: OnReadOpts });
  }
}
