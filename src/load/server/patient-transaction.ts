/** A transaction that has to wait for locks of others: that is told, and limited. */
import type pg from 'pg';
import { inTransaction } from '../../copy/copy-in-journal.js';
import { RealmliftError } from '../../errors.js';
import { tellWaiting } from '../../narration.js';
import { lockWaitText, watchingLocks } from '../../snapshot/lock-watch.js';
import type { ConnectionSettings } from '../../snapshot/connection-settings.js';

/** Seconds for one lock. Whoever waits for us meanwhile are people, at their browsers. */
const PATIENCE = 60;

/** SQLSTATEs: lock_not_available, deadlock_detected */
const [TIMEOUT, DEADLOCK] = ['55P03', '40P01'];

/**
 * All of `work`, or nothing.
 *
 * @param settings of the very same server
 * @param patience seconds for one lock
 * @throws RealmliftError LOCK_TIMEOUT, and what `work` throws
 */
export async function patientTransaction<T>(settings: ConnectionSettings, client: pg.Client, work: () => Promise<T>, patience = PATIENCE): Promise<T> {
  const { rows: [session] } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
  const { result, last } = await watchingLocks(settings, session?.pid as number, tellWaiting, () => inTransaction(client, async () => {
    await client.query(`SET LOCAL lock_timeout = '${patience}s'`);
    return work();
  }), patience * 1000);
  if (result.status === 'fulfilled') return result.value;
  const { code } = (result.reason ?? {}) as { code?: string };
  if (code !== TIMEOUT && code !== DEADLOCK) throw result.reason;
  const what = code === DEADLOCK ? 'the server ended a deadlock with another session by ending our transaction' : `another session kept what is needed for ${patience} s${last === undefined ? '' : `: ${lockWaitText(last)}`}`;
  throw new RealmliftError('LOCK_TIMEOUT', 'load', `nothing was changed: ${what}`, { hint: 'let that transaction end', again: true, cause: result.reason });
}
