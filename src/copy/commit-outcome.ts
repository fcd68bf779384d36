/** Whether a database is complete whose session was cut while the server committed the last step (CopyInJournal.finish): another session asks. */
import { RealmliftError, type Stage, asRealmliftError } from '../errors.js';
import { isLoss } from '../lost-connection.js';
import { connect } from '../snapshot/connect.js';
import type { ConnectionSettings } from '../snapshot/connection-settings.js';
import { findJournal, leadRun } from './copy-in-journal.js';

/** Milliseconds for the session that was cut to end: within them it commits, or is undone. Whoever pressed ^C waits. */
const PATIENCE = 5_000;

interface Filled {
  readonly settings: ConnectionSettings;
  /** Of the sessions that fill it, see connect. */
  readonly role: 'restore' | 'split';
  /** Of its journal. */
  readonly name: string;
  readonly stop: AbortSignal;
}

/**
 * Goes on where the last step was committed all the same.
 *
 * @param error by which the last step ended
 * @throws error where nothing was committed; one that says so where the server does not tell
 */
export async function unlessCommitted(error: unknown, filled: Filled): Promise<void> {
  const committed = isLoss(error) ? await isComplete(filled) : false;
  if (committed === true) return;
  throw committed === false ? error : undecided(filled.stop.aborted ? filled.stop.reason : error, filled.role);
}

async function isComplete({ settings, role, name }: Filled): Promise<boolean | undefined> {
  try {
    const client = await connect(settings, role, AbortSignal.timeout(PATIENCE));
    try {
      return await leadRun(client, name, PATIENCE) ? (await findJournal(client, name)) === undefined : undefined;
    } finally {
      await client.end().catch(() => undefined);
    }
  } catch {
    return undefined;
  }
}

function undecided(error: unknown, stage: Stage): RealmliftError {
  const { code, message, exit, again } = asRealmliftError(error, stage);
  return new RealmliftError(code, stage, `${message.replace(/;.*/, '')}; the server did not say whether the last step was committed, which makes the database complete`, {
    hint: 'run the same command again: it goes on, or says that the database is not empty, which is then complete', exit, again, cause: error,
  });
}
