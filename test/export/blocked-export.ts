/**
 * An export that stands still in the midst of its work, because somebody has locked an index that a worker must look at.
 *
 * The table itself cannot be it: every session holds it from its beginning. REINDEX takes from readers the index alone.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { startExport, type Ended, type ExportProcess } from './export-process.js';
import { query } from './grown-database.js';

/** Milliseconds between two looks at the server's sessions. */
const LOOK = 20;

/** Seconds within which a run must have come to its end, or to the lock. */
const LIMIT = 60;

export interface BlockedExport extends ExportProcess {
  /** Lets it go on. */
  readonly unblock: () => Promise<void>;
}

/** Starts an export, waits until a worker waits for zerver_usermessage, and runs `work`; then waits for the end. */
export function withBlockedExport(url: string, output: string, words: readonly string[], work: (blocked: BlockedExport) => Promise<void>): Promise<Ended> {
  return withBlocked(url, () => startExport(url, output, ...words), work);
}

/** The same for any process that reads the table by sessions of this name. */
export async function withBlocked(url: string, start: () => Promise<ExportProcess>, work: (blocked: BlockedExport) => Promise<void>): Promise<Ended> {
  const locker = new pg.Client({ connectionString: url });
  locker.on('error', () => undefined);
  await locker.connect();
  await locker.query('BEGIN; REINDEX INDEX zulip.zerver_usermessage_message_id_f6e63a33');
  const running = await start();
  const unblock = (): Promise<void> => locker.end().catch(() => undefined);
  const limit = setTimeout(() => running.process.kill('SIGKILL'), LIMIT * 1000);
  try {
    while (isRunning(running) && (await sessions(url, "application_name = 'realmlift worker' AND wait_event_type = 'Lock'")) === 0) await sleep(LOOK);
    if (!isRunning(running)) throw new Error(`it did not wait: ${(await running.ended).stderr}`);
    await work({ ...running, unblock });
    return await running.ended;
  } finally {
    clearTimeout(limit);
    running.process.kill('SIGKILL');
    await unblock();
  }
}

function isRunning({ process: child }: ExportProcess): boolean {
  return child.exitCode === null && child.signalCode === null;
}

/** Sessions of realmlift in the database for which the condition on pg_stat_activity holds. */
export async function sessions(url: string, condition = 'true'): Promise<number> {
  const { rows } = await query(url, `SELECT count(*)::int AS n FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'realmlift %' AND ${condition}`);
  return rows[0]?.n as number;
}

/** Waits until the server has no session of realmlift, or `seconds` have passed; how many are left. */
export async function sessionsLeft(url: string, seconds: number): Promise<number> {
  const until = performance.now() + seconds * 1000;
  let left = await sessions(url);
  while (left > 0 && performance.now() < until) {
    await sleep(LOOK);
    left = await sessions(url);
  }
  return left;
}
