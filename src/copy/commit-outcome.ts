/** Whether the work of a session was finished that was cut while the server committed its last step: another session asks. */
import type pg from 'pg';
import { asRealmliftError, type Stage } from '../errors.js';
import { isLoss } from '../lost-connection.js';
import { connect } from '../snapshot/connect.js';
import type { ConnectionSettings } from '../snapshot/connection-settings.js';
import { findJournal, leadRun } from './copy-in-journal.js';

/** Milliseconds for the session that was cut to end: within them it commits, or is undone. Whoever pressed ^C waits. */
const PATIENCE = 5_000;

/**
 * @param session that asks @param name of the run, see leadRun @param ask whether it is finished
 * @returns undefined where the server does not say
 */
export async function askWhenEnded(session: (stop: AbortSignal) => Promise<pg.Client>, name: string, ask: (client: pg.Client) => Promise<boolean>): Promise<boolean | undefined> {
  try {
    const client = await session(AbortSignal.timeout(PATIENCE));
    try {
      return await leadRun(client, name, PATIENCE) ? await ask(client) : undefined;
    } finally {
      await client.end().catch(() => undefined);
    }
  } catch {
    return undefined;
  }
}

/**
 * Goes on where the last step was committed all the same.
 *
 * @param error by which the last step ended @param isFinished see askWhenEnded @param undecided what is thrown where the server does not say
 * @throws error where nothing was committed
 */
export async function unlessCommitted(error: unknown, isFinished: () => Promise<boolean | undefined>, undecided: () => unknown): Promise<void> {
  const finished = isLoss(error) ? await isFinished() : false;
  if (finished !== true) throw finished === false ? error : undecided();
}

/** A database that is filled, and complete when its journal is gone (CopyInJournal.finish). */
interface Filled {
  readonly settings: ConnectionSettings;
  /** Of the sessions that fill it, see connect. */
  readonly role: 'restore' | 'split';
  /** Of its journal. */
  readonly name: string;
  readonly stop: AbortSignal;
}

/** The same of a database. */
export async function unlessComplete(error: unknown, { settings, role, name, stop }: Filled): Promise<void> {
  const isComplete = (): Promise<boolean | undefined> => askWhenEnded((timeout) => connect(settings, role, timeout), name, async (client) => (await findJournal(client, name)) === undefined);
  return unlessCommitted(error, isComplete, () => undecided(stop.aborted ? stop.reason : error, role));
}

function undecided(error: unknown, stage: Stage): Error {
  return asRealmliftError(error, stage).with({
    stage, left: 'the server did not say whether the last step was committed, which makes the database complete',
    hint: 'run the same command again: it goes on, or says that the database is not empty, which is then complete',
  });
}
