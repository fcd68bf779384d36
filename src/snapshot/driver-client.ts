/** The driver's client for one server of the settings. */
import { checkServerIdentity, type ConnectionOptions } from 'node:tls';
import './navigator.js';
import pg from 'pg';
import { endsSession, noteLoss } from '../lost-connection.js';
import { cancelled } from './cancel-request.js';
import type { ConnectionSettings } from './connection-settings.js';

class Client extends pg.Client {
  override end(): Promise<void> {
    return cancelled(this)?.then(() => super.end()) ?? super.end();
  }
}

const losses = new WeakMap<pg.Client, Error>();

/** @param role what the session is for, shown in pg_stat_activity as `realmlift ROLE` */
export function driverClient(settings: ConnectionSettings, role: string): pg.Client {
  const client = new Client({ ...settings.config, ssl: ssl(settings), application_name: `realmlift ${role}` });
  const lose = (error: Error): void => {
    noteLoss(error);
    if (!losses.has(client)) losses.set(client, error);
  };
  client.on('error', lose);
  // A session that is ended at work says why to its query alone, and the driver learns of it when the connection closes.
  connectionOf(client).on('errorMessage', (message: Error) => { if (endsSession(message as { severity?: string })) lose(message); });
  failByLoss(client);
  return client;
}

/** What lies below a client, of which pg's types do not tell. */
export function connectionOf(client: pg.Client): pg.Connection {
  return (client as unknown as { connection: pg.Connection }).connection;
}

/** Why the connection ended by itself: the first that was heard of it. Undefined while it lives. */
export function lossOf(client: pg.Client): Error | undefined {
  return losses.get(client);
}

/** What is asked of a lost connection fails by its loss: the driver would wait with it, or say no more than that it cannot be asked. */
function failByLoss(client: pg.Client): void {
  const ask = client.query.bind(client) as (...question: unknown[]) => unknown;
  client.query = ((...question: unknown[]) => {
    const loss = lossOf(client);
    if (loss === undefined) return ask(...question);
    const [stream] = question as [{ handleError?: (error: Error) => void }];
    if (stream.handleError === undefined) return Promise.reject(loss);
    process.nextTick(() => stream.handleError?.(loss));
    return stream;
  }) as pg.Client['query'];
}

/** A new object each time: the driver changes the one it is given. */
function ssl({ config, serverName }: ConnectionSettings): ConnectionOptions | false {
  if (typeof config.ssl !== 'object') return false;
  return { ...config.ssl, checkServerIdentity: (_, certificate) => (serverName === undefined ? undefined : checkServerIdentity(serverName, certificate)) };
}
