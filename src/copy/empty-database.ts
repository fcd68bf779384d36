/** A database that a COPY-in fills from the ground up must hold nothing of anybody's. */
import type pg from 'pg';
import { RealmliftError, type Stage } from '../errors.js';

/**
 * Objects of a user, save an extension's: those a template database may bring along. OIDs below 16384 are the system's own.
 * src/include/access/transam.h
 */
const SOMETHING_THERE = `
  WITH object AS (
    SELECT 'pg_class'::regclass AS class, oid, 'relation ' || relname AS what FROM pg_class WHERE relkind <> 't' AND relnamespace <> 'pg_toast'::regnamespace
    UNION ALL SELECT 'pg_proc'::regclass, oid, 'function ' || proname FROM pg_proc
    UNION ALL SELECT 'pg_type'::regclass, oid, 'type ' || typname FROM pg_type WHERE typelem = 0 AND typrelid = 0
    UNION ALL SELECT 'pg_namespace'::regclass, oid, 'schema ' || nspname FROM pg_namespace WHERE nspname !~ '^pg_(toast_)?temp_'
    UNION ALL SELECT 'pg_largeobject_metadata'::regclass, oid, 'large object ' || oid FROM pg_largeobject_metadata
  )
  SELECT what FROM object o
  WHERE oid >= 16384 AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = o.class AND d.objid = o.oid AND d.deptype = 'e') LIMIT 1`;

/** Something of a user's that the database holds, in words; undefined when it is empty. */
export async function somethingThere(client: pg.Client): Promise<string | undefined> {
  return (await client.query<{ what: string }>(SOMETHING_THERE)).rows[0]?.what;
}

/**
 * @param further what to do with a new one, in words
 * @throws RealmliftError DATABASE_NOT_EMPTY
 */
export async function refuseNotEmpty(client: pg.Client, stage: Stage, further: string): Promise<void> {
  const found = await somethingThere(client);
  if (found === undefined) return;
  throw new RealmliftError('DATABASE_NOT_EMPTY', stage, `the database is not empty: it has the ${found}`, { hint: `create a new one (createdb --template=template0 NAME) and ${further}` });
}

/** What a server answers to a role that may create nothing, with the right that it needs. */
export function notAllowed(cause: unknown, client: pg.Client, stage: Stage): unknown {
  const { code, message } = cause as { code?: string; message: string };
  if (code !== '42501') return cause;
  const role = client.escapeIdentifier(client.user ?? '');
  return new RealmliftError('RIGHT_MISSING', stage, `the role may create nothing in the database: ${message}`, { hint: `GRANT CREATE ON DATABASE ${client.escapeIdentifier(client.database ?? '')} TO ${role}, or make it the owner`, cause });
}
