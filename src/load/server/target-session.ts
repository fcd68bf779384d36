/** A session that writes to the new server. */
import type pg from 'pg';
import { joinRun } from '../../copy/copy-in-journal.js';
import { RealmliftError } from '../../errors.js';
import { connect } from '../../snapshot/connect.js';
import type { ConnectionSettings } from '../../snapshot/connection-settings.js';

/**
 * Zulip's triggers name their tables without a schema, so the search path is Zulip's own. Until the last step, whose commit is waited
 * for, a crash of the server costs a repeated step at worst.
 *
 * @param stop cuts it soon after it has aborted
 * @throws those of the connection, each saying that it is about the new server
 */
export async function targetSession(settings: ConnectionSettings, schema: string | undefined, stop: AbortSignal): Promise<pg.Client> {
  try {
    const client = await connect(settings, 'load', stop);
    if (schema !== undefined) await useTarget(client, schema);
    return client;
  } catch (cause) {
    if (!(cause instanceof RealmliftError) || cause.code === 'STOPPED') throw cause;
    const { code, message, exit } = cause;
    throw new RealmliftError(code, 'load', `the new server: ${message}`, { exit, hint: 'check --target-url', cause });
  }
}

/** A further session of a run, which works off its steps. */
export async function stepSession(settings: ConnectionSettings, schema: string, subdomain: string, stop: AbortSignal): Promise<pg.Client> {
  const client = await targetSession(settings, schema, stop);
  await joinRun(client, subdomain);
  return client;
}

export async function useTarget(client: pg.Client, schema: string): Promise<void> {
  await client.query(`SET search_path = ${client.escapeIdentifier(schema)}, pg_catalog; SET synchronous_commit = off; SET client_min_messages = warning`);
}
