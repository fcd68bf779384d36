/** Rows of the realm that neither travel nor stand in the ledger: nothing may be lost silently. */
import type { Exported } from './exported-rows.js';
import type { Row, Tables } from './server-rows.js';

/** Which views of the ledger account for the rows of which table. */
const ACCOUNTS: Readonly<Record<string, readonly string[]>> = {
  zerver_message: ['unsafe_group_message', 'private_message', 'protected_message', 'stray_message'],
  zerver_scheduledmessage: ['scheduled_message'],
  zerver_realmauditlog: ['private_audit_log', 'unbound_audit_log'],
  zerver_attachment: ['unnamed_attachment'],
};

export function ledgerGaps(server: Tables, { tables, ledger }: Exported, realmId: number): string[] {
  const lines: string[] = [];
  const ids = (rows: readonly Row[] | undefined): Set<unknown> => new Set((rows ?? []).map((row) => row.id));
  // Until Zulip 7 messages do not say which realm they are of: what the realm's people wrote is.
  const people = new Set([...ids(tables.zerver_userprofile), ...ids(tables.zerver_userprofile_mirrordummy)]);
  const ofRealm = (row: Row): boolean => ('sender_id' in row && row.realm_id === undefined ? people.has(row.sender_id) : row.realm_id === realmId);
  for (const [table, views] of Object.entries(ACCOUNTS)) {
    // A table that does not travel at all is told as such.
    if (tables[table] === undefined) continue;
    const travels = ids(tables[table]);
    const named = new Map(views.flatMap((view) => (ledger[view] ?? []).map((row) => [row.id, view] as const)));
    if (views.reduce((sum, view) => sum + (ledger[view] ?? []).length, 0) !== named.size) lines.push(`${table}: the ledger names a row twice`);
    for (const row of (server[table] ?? []).filter(ofRealm)) {
      if (!travels.has(row.id) && !named.has(row.id)) lines.push(`${table}: row ${String(row.id)} is lost without a word`);
    }
    for (const [id, view] of named) if (travels.has(id)) lines.push(`${table}: row ${String(id)} travels, and ${view} says that it stays`);
  }
  const messages = ids(tables.zerver_message);
  for (const [table, view] of [['zerver_reaction', 'foreign_reaction'], ['zerver_submessage', 'foreign_submessage']] as const) {
    const [travels, lost] = [ids(tables[table]), ids(ledger[view])];
    for (const row of server[table] ?? []) {
      if (messages.has(row.message_id) && travels.has(row.id) === lost.has(row.id)) lines.push(`${table}: row ${String(row.id)} is not accounted for`);
    }
  }
  return lines;
}
