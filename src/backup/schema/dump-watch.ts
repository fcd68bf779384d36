/**
 * Sees that the connection of a pg_dump carries nothing any more: only pg_dump holds it, and would wait for ever. The session of
 * the snapshot asks the server what pg_dump's is doing. It goes on unless it waits for pg_dump, which neither asks nor writes anything.
 */
import type { Socket } from 'node:net';
import { RealmliftError } from '../../errors.js';
import { SILENCE } from '../../snapshot/stall-watch.js';
import type { Snapshot } from '../../snapshot/snapshot.js';

/**
 * Silences, see StallWatch, for which nothing must have changed: five minutes. What is on its way is not seen here, and a large answer
 * over a slow line takes its time, as pg_dump does with what it has read.
 */
const PATIENCE = 15;

/** Looks in the time of that. */
const LOOKS = 5;

/** Watches from its making on, until it is stopped. */
export class DumpWatch {
  readonly #snapshot: Snapshot;
  readonly #application: string;
  readonly #output: Socket;
  readonly #onStalled: (error: RealmliftError) => void;
  readonly #patience: number;
  readonly #timer: NodeJS.Timeout;
  #found = false;
  #asking = false;
  /** What was seen last, and since when it is so. */
  #state: string | undefined;
  #since = performance.now();

  /**
   * @param application by which pg_dump's session is known
   * @param output where it writes
   * @param onStalled is given CONNECTION_STALLED
   */
  constructor(snapshot: Snapshot, application: string, output: Socket, onStalled: (error: RealmliftError) => void) {
    this.#snapshot = snapshot;
    this.#application = application;
    this.#output = output;
    this.#onStalled = onStalled;
    this.#patience = (snapshot.settings.silence ?? SILENCE) * PATIENCE;
    this.#timer = setInterval(() => void this.#look(), this.#patience / LOOKS).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  async #look(): Promise<void> {
    if (this.#asking) return;
    this.#asking = true;
    // The snapshot's session has a watch of its own.
    const session = await this.#waiting().catch(() => undefined);
    this.#asking = false;
    // It may be we who do not read what it has written.
    const state = session === undefined || this.#output.readableLength > 0 ? undefined : `${session} ${this.#output.bytesRead}`;
    const now = performance.now();
    if (state === undefined || state !== this.#state) this.#since = now;
    this.#state = state;
    if (now - this.#since < this.#patience) return;
    this.#onStalled(new RealmliftError('CONNECTION_STALLED', 'backup', `nothing has come over pg_dump's connection to the server for ${Math.round((now - this.#since) / 1000)} s: ${session === GONE ? 'the server has no such session any more' : 'the server in turn waits for it'}`, {
      hint: 'look at what lies between, a proxy, a firewall or the network', again: true,
    }));
  }

  /** Since when the session waits for pg_dump, in the server's words, or that it is gone; undefined while it is at work, or cannot be seen. */
  async #waiting(): Promise<string | undefined> {
    const { client } = this.#snapshot;
    // In a transaction the server shows the same again, unless it is told not to.
    const [, { rows: [session] }] = await client.query(`
      SELECT pg_stat_clear_snapshot();
      SELECT state_change::text AS since, wait_event IN ('ClientRead', 'ClientWrite') AS waits FROM pg_stat_activity WHERE application_name = ${client.escapeLiteral(this.#application)}`,
    ) as unknown as [unknown, { rows: { since: string; waits: boolean | null }[] }];
    this.#found ||= session !== undefined;
    if (session === undefined) return this.#found ? GONE : undefined;
    return session.waits === true ? session.since : undefined;
  }
}

const GONE = 'gone';
