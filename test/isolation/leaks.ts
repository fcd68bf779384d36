/**
 * What must never be in an export of a realm, told from its rows alone, whatever the oracle thinks: rows of another realm, references
 * that do not close, secrets of the random servers.
 */
import type { Tables } from './server-rows.js';

/** Values that server-rows.ts gives to secret columns. */
const SECRET = /PASSWORD-|APIKEY-|ZOOM-TOKEN|SERVICE-TOKEN|EMAIL-TOKEN|CONFIG-SECRET/;

export function leaks(tables: Tables, realmId: number): string[] {
  const lines: string[] = [];
  const ids = (...names: string[]): Set<unknown> => new Set(names.flatMap((name) => (tables[name] ?? []).map((row) => row.id)));
  const users = ids('zerver_userprofile', 'zerver_userprofile_mirrordummy');
  const everybody = new Set([...users, ...ids('zerver_userprofile_crossrealm')]);
  const recipients = new Set([...ids('zerver_recipient'), ...(tables.zerver_userprofile_crossrealm ?? []).map((bot) => bot.recipient_id)]);
  const messages = ids('zerver_message');
  const closes = (table: string, key: string, targets: ReadonlySet<unknown>): void => {
    for (const row of tables[table] ?? []) {
      if (!targets.has(row[key])) lines.push(`${table}.${key}: row ${String(row.id)} points outside: ${String(row[key])}`);
    }
  };
  for (const [table, rows] of Object.entries(tables)) {
    for (const row of rows) {
      if ('realm' in row && row.realm !== realmId) lines.push(`${table}: row ${String(row.id)} is of realm ${String(row.realm)}`);
      if (SECRET.test(JSON.stringify(row))) lines.push(`${table}: row ${String(row.id)} holds a secret`);
    }
  }
  closes('zerver_message', 'sender', everybody);
  closes('zerver_message', 'recipient', recipients);
  closes('zerver_message', 'sending_client', ids('zerver_client'));
  closes('zerver_subscription', 'user_profile', everybody);
  closes('zerver_subscription', 'recipient', ids('zerver_recipient'));
  closes('zerver_huddle', 'recipient', ids('zerver_recipient'));
  closes('zerver_usermessage', 'user_profile', ids('zerver_userprofile'));
  closes('zerver_usermessage', 'message', messages);
  closes('zerver_reaction', 'user_profile', everybody);
  closes('zerver_reaction', 'message', messages);
  closes('zerver_submessage', 'sender', everybody);
  closes('zerver_submessage', 'message', messages);
  closes('zerver_scheduledmessage', 'sender', users);
  closes('zerver_scheduledmessage', 'recipient', recipients);
  closes('zerver_attachment', 'owner', users);
  for (const row of tables.zerver_recipient ?? []) {
    const targets = row.type === 1 ? users : row.type === 2 ? ids('zerver_stream') : ids('zerver_huddle');
    if (!targets.has(row.type_id)) lines.push(`zerver_recipient: row ${String(row.id)} of type ${String(row.type)} points outside: ${String(row.type_id)}`);
  }
  return lines;
}
