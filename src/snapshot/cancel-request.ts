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

/** Whether the server would go on with what the session is at when the connection is closed. */
export function wouldGoOn(client: pg.Client): boolean {
  const { processID, _activeQuery: query } = client as unknown as Inside;
  return unwatched.has(client) && query !== null && processID !== null;
}

/** Resolves when the server was told, or cannot be; what the session is at then fails. */
export async function cancel(client: pg.Client): Promise<void> {
  const { processID, secretKey } = client as unknown as Inside;
  const request = Buffer.alloc(16);
  [request.length, CANCEL_REQUEST, processID ?? 0, secretKey ?? 0].forEach((word, at) => request.writeInt32BE(word, at * 4));
  const socket = client.host.startsWith('/') ? connect(`${client.host}/.s.PGSQL.${client.port}`) : connect(client.port, client.host);
  socket.once('connect', () => socket.write(request)).on('error', () => undefined).resume();
  socket.setTimeout(PATIENCE, () => socket.destroy());
  // The server closes the connection when it has told the backend.
  await new Promise((resolve) => { socket.once('close', resolve); });
}
