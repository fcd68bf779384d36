/** A session that writes to the new server. */
import type pg from 'pg';
import { joinRun } from '../../copy/copy-in-journal.js';
import { stoppedFault } from '../../copy/target-fault.js';
import { findSchema } from '../../plan/views/catalog.js';
import { aboutTarget } from '../../remap/target-server.js';
import { connect } from '../../snapshot/connect.js';
import type { ConnectionSettings } from '../../snapshot/connection-settings.js';

/**
 * Runs `work` in a session of its own, with the schema that Zulip has there.
 *
 * @param where as in an error: `load`
 * @param stop cuts the session soon after it has aborted
 * @throws as {@link targetSession}; what `work` throws, as {@link stoppedFault} tells it
 */
export async function withTargetSession<T>(settings: ConnectionSettings, where: string, stop: AbortSignal, work: (client: pg.Client, schema: string) => Promise<T>): Promise<T> {
  const client = await newSession(settings, stop);
  try {
    const schema = await findSchema(client).catch(aboutTarget);
    await useTarget(client, schema);
    return await work(client, schema);
  } catch (error) {
    throw stoppedFault(error, stop, where);
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** @param stop cuts it soon after it has aborted @throws those of the connection, each saying that it is about the new server */
export async function targetSession(settings: ConnectionSettings, schema: string, stop: AbortSignal): Promise<pg.Client> {
  const client = await newSession(settings, stop);
  await useTarget(client, schema);
  return client;
}

/** A further session of a run, which works off its steps. */
export async function stepSession(settings: ConnectionSettings, schema: string, subdomain: string, stop: AbortSignal): Promise<pg.Client> {
  const client = await targetSession(settings, schema, stop);
  await joinRun(client, subdomain);
  return client;
}

async function newSession(settings: ConnectionSettings, stop: AbortSignal): Promise<pg.Client> {
  return connect(settings, 'load', stop).catch((cause: unknown) => aboutTarget(cause, 'load'));
}

/**
 * Zulip's triggers name their tables without a schema, so the search path is Zulip's own. Until the last step, whose commit is waited
 * for, a crash of the server costs a repeated step at worst.
 */
async function useTarget(client: pg.Client, schema: string): Promise<void> {
  await client.query(`SET search_path = ${client.escapeIdentifier(schema)}, pg_catalog; SET synchronous_commit = off; SET client_min_messages = warning`);
}
