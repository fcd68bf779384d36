/** The driver's client for one server of the settings. */
import { checkServerIdentity, type ConnectionOptions } from 'node:tls';
import './navigator.js';
import pg from 'pg';
import type { ConnectionSettings } from './connection-settings.js';

/** @param role what the session is for, shown in pg_stat_activity as `realmlift ROLE` */
export function driverClient(settings: ConnectionSettings, role: string): pg.Client {
  const client = new pg.Client({ ...settings.config, ssl: ssl(settings), application_name: `realmlift ${role}` });
  // A connection lost between two queries is an error event; it reaches the caller through its next query.
  client.on('error', () => undefined);
  return client;
}

/** A new object each time: the driver changes the one it is given. */
function ssl({ config, serverName }: ConnectionSettings): ConnectionOptions | false {
  if (typeof config.ssl !== 'object') return false;
  return { ...config.ssl, checkServerIdentity: (_, certificate) => (serverName === undefined ? undefined : checkServerIdentity(serverName, certificate)) };
}
