/** The driver's client for one server of the settings. */
import { checkServerIdentity, type ConnectionOptions } from 'node:tls';
import './navigator.js';
import pg from 'pg';
import { cancelled } from './cancel-request.js';
import type { ConnectionSettings } from './connection-settings.js';

class Client extends pg.Client {
  override end(): Promise<void> {
    return cancelled(this)?.then(() => super.end()) ?? super.end();
  }
}

/** The first error that each session was told of between two queries. */
const told = new WeakMap<pg.Client, Error>();

/** @param role what the session is for, shown in pg_stat_activity as `realmlift ROLE` */
export function driverClient(settings: ConnectionSettings, role: string): pg.Client {
  const client = new Client({ ...settings.config, ssl: ssl(settings), application_name: `realmlift ${role}` });
  // A connection lost between two queries is an error event; it reaches the caller through its next query, see lossOf.
  client.on('error', (error) => { if (!told.has(client)) told.set(client, error); });
  return client;
}

/** Why a query of the session failed: of a session that ended while it was idle the driver's error says no more than that it did. */
export function lossOf(client: pg.Client, error: unknown): unknown {
  return /is not queryable$/.test((error as Error).message) ? told.get(client) ?? error : error;
}

/** A new object each time: the driver changes the one it is given. */
function ssl({ config, serverName }: ConnectionSettings): ConnectionOptions | false {
  if (typeof config.ssl !== 'object') return false;
  return { ...config.ssl, checkServerIdentity: (_, certificate) => (serverName === undefined ? undefined : checkServerIdentity(serverName, certificate)) };
}
