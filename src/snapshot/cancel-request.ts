/**
 * What a session is at when we end it is cancelled, where the server does not watch whether its client is still there: else it would go on until it has
 * something to send, wait for a lock till then, or sort, and hold the snapshot.
 * https://www.postgresql.org/docs/12/protocol-flow.html#id-1.10.5.7.9
 */
import { connect } from 'node:net';
import type pg from 'pg';

/** Milliseconds that a server may take to accept a request. */
const PATIENCE = 1_000;

/** Stands where else the version of the protocol does. */
const CANCEL_REQUEST = 80877102;

/** The parts of the driver's client that its types do not know. */
interface Inside {
  /** Null where what stands between us and the server tells none. */
  readonly processID: number | null;
  readonly secretKey: number | null;
  readonly _activeQuery: unknown;
}

const unwatched = new WeakSet<pg.Client>();

/** Its server does not notice that we are gone. */
export function markUnwatched(client: pg.Client): void {
  unwatched.add(client);
}

/**
 * Cancels what the session is at, which then fails; to be called before its connection is closed.
 * @returns undefined where the server would not go on with anything; else what resolves when the server was told, or cannot be
 */
export function cancelled(client: pg.Client): Promise<void> | undefined {
  const { processID, secretKey, _activeQuery: query } = client as unknown as Inside;
  if (!unwatched.has(client) || query === null || processID === null || secretKey === null) return undefined;
  const request = Buffer.alloc(16);
  [request.length, CANCEL_REQUEST, processID, secretKey].forEach((word, at) => request.writeInt32BE(word, at * 4));
  return sent(request, client);
}

async function sent(request: Buffer, { host, port }: pg.Client): Promise<void> {
  const socket = host.startsWith('/') ? connect(`${host}/.s.PGSQL.${port}`) : connect(port, host);
  socket.once('connect', () => socket.write(request)).on('error', () => undefined).resume();
  socket.setTimeout(PATIENCE, () => socket.destroy());
  // The server closes the connection when it has told the backend.
  await new Promise((resolve) => { socket.once('close', resolve); });
}
