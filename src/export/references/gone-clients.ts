/**
 * Clients that messages were sent with and that are gone, where an old database has lost the foreign key. A message must name a
 * client at the import, and is not lost for the name of a program: a client called after the number takes its place, and the ledger tells.
 */
import { quote, type CompiledRegistry } from '../../plan/views/compile-view.js';
import { TENANT } from '../../plan/views/set-form.js';

/** The view of the ledger that names them, like zerver_client asked once the messages have been copied. */
export const GONE_CLIENTS = 'gone_client';

/** SQL: its name, at most 30 characters, as Zulip's model wants. */
export function goneClient(id: string): string {
  return `'gone client ' || ${id}`;
}

/** @param set the plan is of many realms */
export function withGoneClients(compiled: CompiledRegistry, set: boolean): CompiledRegistry {
  const view = compiled.tables.get('zerver_client');
  if (view === undefined) return compiled;
  const gone = set ? `SELECT g.${TENANT}, g.id FROM unnest(:message_client_realm_ids, :message_client_ids) AS g(${TENANT}, id)` : 'SELECT g.id FROM unnest(:message_client_ids) AS g(id)';
  const sql = `${gone} WHERE NOT EXISTS (SELECT FROM zerver_client c WHERE c.id = g.id)`;
  const columns = view.columns.map((column) => ({ [TENANT]: `g.${TENANT}`, id: 'g.id', name: goneClient('g.id') }[column] ?? 'NULL'));
  const reason = 'messages were sent with clients that are gone: each travels as a client called "gone client" and its number';
  return {
    ...compiled,
    tables: new Map([...compiled.tables, [view.name, { ...view, closed: `SELECT ${view.columns.map((column) => `t.${quote(column)}`).join(', ')} FROM (\n${view.sql}\n) AS t\nUNION ALL\nSELECT ${columns.join(', ')} FROM (${sql}) AS g` }]]),
    ledger: [...compiled.ledger, { ...view, name: GONE_CLIENTS, view: { ...view.view, name: GONE_CLIENTS, dataClass: 'ledger', loss: { dataClass: 'message', reason } }, columns: [...(set ? [TENANT] : []), 'id'], reads: [], tables: [], sql }],
  };
}
