/** Whether a load is finished whose session was cut while the server committed its last step: another session asks. */
import { leadRun } from '../../copy/copy-in-journal.js';
import type { ConnectionSettings } from '../../snapshot/connection-settings.js';
import { LoadJournal } from './load-journal.js';
import { LoadRecord } from './load-record.js';
import { targetSession } from './target-session.js';

/** Milliseconds for the session that was cut to end: within them it commits, or is undone. Whoever pressed ^C waits. */
const PATIENCE = 5_000;

/** @param schema Zulip's on the new server @returns undefined where the server does not say */
export async function wasCommitted(target: ConnectionSettings, schema: string, subdomain: string): Promise<boolean | undefined> {
  try {
    const client = await targetSession(target, schema, AbortSignal.timeout(PATIENCE));
    try {
      if (!(await leadRun(client, subdomain, PATIENCE))) return undefined;
      return (await LoadJournal.find(client, subdomain)) === undefined && await LoadRecord.isThere(client, subdomain);
    } finally {
      await client.end().catch(() => undefined);
    }
  } catch {
    return undefined;
  }
}
