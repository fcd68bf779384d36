/** Ends sessions at once, also in the midst of a query, which then fails. */
import { setMaxListeners } from 'node:events';
import type pg from 'pg';
import { cancelled } from './cancel-request.js';
import { connectionOf } from './driver-client.js';

/** Milliseconds that a session has for what it is at when a run is stopped: most comes to its end in them, and the run tidies up at the next step. */
const PATIENCE = 2_000;

export function cutConnection(client: pg.Client): void {
  const { stream } = connectionOf(client);
  const cancelling = cancelled(client);
  if (cancelling === undefined) stream.destroy();
  else void cancelling.then(() => stream.destroy());
}

/** Cuts the session soon after `stop` has aborted, whatever it is waiting for: an answer that does not come, a lock, an index that takes hours. */
export function cutWhenStopped(client: pg.Client, stop: AbortSignal): void {
  let timer: NodeJS.Timeout | undefined;
  const cut = (): void => { timer = setTimeout(() => cutConnection(client), PATIENCE); };
  // Each session of a run listens.
  setMaxListeners(0, stop);
  stop.addEventListener('abort', cut, { once: true });
  connectionOf(client).stream.once('close', () => {
    stop.removeEventListener('abort', cut);
    clearTimeout(timer);
  });
  if (stop.aborted) cut();
}
