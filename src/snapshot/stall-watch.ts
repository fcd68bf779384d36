/**
 * Ends a session whose connection lives and carries nothing any more: a proxy between us and the server hangs, or a firewall
 * forgot the connection. No time limit could tell that from a sort of an hour, so the server is asked over a new connection
 * what the session's backend is doing. It goes on unless the backend waits for us, who wait for it.
 * https://www.postgresql.org/docs/current/monitoring-stats.html#WAIT-EVENT-CLIENT-TABLE
 */
import { Writable } from 'node:stream';
import { setImmediate as untilRead } from 'node:timers/promises';
import type pg from 'pg';
import { RealmliftError, type Stage } from '../errors.js';
import type { ConnectionSettings } from './connection-settings.js';
import { connectionOf, driverClient } from './driver-client.js';

/** Milliseconds without an answer after which the server is asked; the settings may say less. */
export const SILENCE = 20_000;

/** Looks in the time of one silence. */
const LOOKS = 4;

/** Part of a silence for which the findings must be the same, for an answer may be on its way. */
const CERTAIN = 0.5;

/** A server, proxy or network that takes no new connection. What fails on our side, or is refused with a reason, says nothing. */
const UNREACHABLE = new Set(['ECONNREFUSED', 'ECONNRESET', 'ECONNABORTED', 'EHOSTUNREACH', 'ENETUNREACH', 'ENETDOWN', 'ETIMEDOUT', 'EPIPE']);

/** Where a session is served. Times in microseconds by the server's clock. */
export interface Backend {
  readonly pid: number;
  /** When the server itself was started. */
  readonly started: bigint;
  /** When the session was ours for certain. */
  readonly opened: bigint;
}

const MICROSECONDS = (time: string): string => `(extract(epoch FROM ${time}) * 1000000)::bigint::text`;

const ACTIVITY = `
  SELECT ${MICROSECONDS('pg_postmaster_start_time()')} AS started, activity.pid IS NOT NULL AS found, activity.wait_event
  FROM (VALUES ($1::int, $2::bigint)) AS wanted (pid, opened)
  LEFT JOIN pg_stat_activity AS activity ON activity.pid = wanted.pid AND extract(epoch FROM activity.backend_start) * 1000000 <= wanted.opened`;

/** @throws what the session's query throws */
export async function backendOf(client: pg.Client): Promise<Backend> {
  const { rows: [row] } = await client.query<Record<keyof Backend, string>>(`
    SELECT pg_catalog.pg_backend_pid()::text AS pid, ${MICROSECONDS('pg_catalog.pg_postmaster_start_time()')} AS started, ${MICROSECONDS('pg_catalog.clock_timestamp()')} AS opened`);
  const { pid, started, opened } = row as Record<keyof Backend, string>;
  return { pid: Number(pid), started: BigInt(started), opened: BigInt(opened) };
}

/** The parts of the driver's client that its types do not know. */
interface Inside {
  readonly connection: pg.Connection;
  readonly readyForQuery: boolean;
  readonly _ending: boolean;
  readonly _activeQuery: CopyIn | Readonly<Record<string, unknown>> | null;
}

/** The parts of a COPY … FROM STDIN that pg-copy-streams keeps to itself. */
interface CopyIn extends Writable {
  /** The server waits for rows. */
  readonly _gotCopyInResponse: boolean;
}

/** Watches a session from its login to its end. Its queries then fail with CONNECTION_STALLED. */
export class StallWatch {
  /** Unknown while the session is being set up: by then no answer takes long, and a silence alone is an error. */
  backend: Backend | undefined;
  readonly #client: Inside;
  readonly #settings: ConnectionSettings;
  readonly #stage: Stage;
  readonly #silence: number;
  #since = performance.now();
  #carried = -1;
  /** When the first question in a row was asked that found the connection dead. */
  #suspected: number | undefined;
  #asking = false;

  constructor(client: pg.Client, settings: ConnectionSettings, stage: Stage) {
    this.#client = client as unknown as Inside;
    this.#settings = settings;
    this.#stage = stage;
    this.#silence = settings.silence ?? SILENCE;
    const timer = setInterval(() => void this.#look(), this.#silence / LOOKS).unref();
    this.#client.connection.stream.once('close', () => clearInterval(timer));
  }

  async #look(): Promise<void> {
    if (this.#asking || this.#goesOn() || performance.now() - this.#since < this.#silence) return;
    this.#asking = true;
    const asked = performance.now();
    const finding = await this.#ask();
    // What has arrived while we were busy with something else is read first.
    await untilRead();
    this.#asking = false;
    if (this.#goesOn()) return;
    if (finding === undefined) {
      this.#begin();
      return;
    }
    this.#suspected ??= asked;
    const certain = performance.now() - this.#suspected >= this.#silence * CERTAIN;
    if (certain || this.backend === undefined || this.#client._ending) this.#end(finding);
  }

  /** True when nobody waits for the server, or it said something since the last look, or it is we who do not read or send. */
  #goesOn(): boolean {
    const { connection: { stream }, readyForQuery, _ending: ending } = this.#client;
    const { bytesRead, bytesWritten } = stream as unknown as { bytesRead: number; bytesWritten: number };
    const waiting = ending || (!readyForQuery && !stream.isPaused() && !this.#awaitsRows());
    if (waiting && bytesRead + bytesWritten === this.#carried) return false;
    this.#carried = bytesRead + bytesWritten;
    this.#begin();
    return true;
  }

  /** True while the server waits for rows of ours, which may take their time; not when some are on their way, or all are sent. */
  #awaitsRows(): boolean {
    const { connection: { stream }, _activeQuery: copy } = this.#client;
    return copy instanceof Writable && copy._gotCopyInResponse && !copy.writableEnded && !copy.destroyed && stream.writableLength === 0;
  }

  #begin(): void {
    this.#suspected = undefined;
    this.#since = performance.now();
  }

  /** Why the connection is dead; undefined when it is not, or nothing can be said. */
  async #ask(): Promise<string | undefined> {
    const { backend } = this;
    if (backend === undefined) return 'the session was just being set up';
    if (this.#client._ending) return 'the session was just being closed';
    const client = driverClient(this.#settings, 'watch');
    let late = false;
    const limit = setTimeout(() => {
      late = true;
      connectionOf(client).stream.destroy();
    }, (this.#settings.config.connectionTimeoutMillis ?? 0) || SILENCE);
    try {
      await client.connect();
      await client.query('SET search_path = pg_catalog');
      const { rows: [row] } = await client.query<{ started: string; found: boolean; wait_event: string | null }>(ACTIVITY, [backend.pid, String(backend.opened)]);
      const { started, found, wait_event: event } = row as { started: string; found: boolean; wait_event: string | null };
      if (found) return event === 'ClientRead' || event === 'ClientWrite' ? 'the server in turn waits for us' : undefined;
      // Behind one address there may be several servers: then this is another, which cannot know.
      return BigInt(started) === backend.started || BigInt(started) > backend.opened ? 'the server has no such session any more' : undefined;
    } catch (error) {
      return late || isUnreachable(error) ? 'it takes no new connection either' : undefined;
    } finally {
      clearTimeout(limit);
      connectionOf(client).stream.destroy();
    }
  }

  #end(finding: string): void {
    const seconds = Math.round((performance.now() - this.#since) / 1000);
    this.#client.connection.stream.destroy(new RealmliftError('CONNECTION_STALLED', this.#stage, `nothing has come over the connection to the server for ${seconds} s: ${finding}`, {
      hint: 'look at what lies between, a proxy, a firewall or the network', again: true,
    }));
  }
}

function isUnreachable(error: unknown): boolean {
  if (error instanceof AggregateError) return error.errors.every(isUnreachable);
  const { code = '', message = '', severity } = (error ?? {}) as { code?: string; message?: string; severity?: string };
  return severity === undefined && (UNREACHABLE.has(code) || message === 'timeout expired' || message.startsWith('Connection terminated'));
}
