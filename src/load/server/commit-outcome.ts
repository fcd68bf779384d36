/** Whether a load is finished whose session was cut while the server committed its last step. */
import { askWhenEnded } from '../../copy/commit-outcome.js';
import type { ConnectionSettings } from '../../snapshot/connection-settings.js';
import { LoadJournal } from './load-journal.js';
import { LoadRecord } from './load-record.js';
import { targetSession } from './target-session.js';

/** @param schema Zulip's on the new server @returns undefined where the server does not say */
export function wasCommitted(target: ConnectionSettings, schema: string, subdomain: string): Promise<boolean | undefined> {
  return askWhenEnded((stop) => targetSession(target, schema, stop), subdomain, async (client) => (await LoadJournal.find(client, subdomain)) === undefined && await LoadRecord.isThere(client, subdomain));
}
