/** What a split that was stopped or killed leaves in the database that it fills, and how that is begun anew. */
import type pg from 'pg';
import { beginJournal, CopyInJournal, findJournal, inTransaction, joinRun, leadRun } from '../copy/copy-in-journal.js';
import { notAllowed, refuseNotEmpty, somethingThere } from '../copy/empty-database.js';
import { EXIT, RealmliftError } from '../errors.js';

export const SPLIT_SCHEMA = 'realmlift_split';

export interface SplitIdentity {
  readonly realms: readonly string[];
}

/**
 * Begins a split in an empty database, for the session that leads it.
 *
 * @param restart remove what an unfinished split left
 * @throws RealmliftError DATABASE_NOT_EMPTY, SPLIT_UNFINISHED, SPLIT_RUNNING, RIGHT_MISSING
 */
export async function openSplit(client: pg.Client, identity: SplitIdentity, restart: boolean): Promise<CopyInJournal<SplitIdentity>> {
  if (!(await leadRun(client, SPLIT_SCHEMA))) throw new RealmliftError('SPLIT_RUNNING', 'split', 'another split into this database is under way', { hint: 'wait for it, or end it', exit: EXIT.nothingExported });
  const begun = await findJournal<SplitIdentity>(client, SPLIT_SCHEMA);
  if (begun !== undefined) {
    if (!restart) throw new RealmliftError('SPLIT_UNFINISHED', 'split', `the database holds an unfinished split of ${begun.identity.realms.join(', ')}`, { hint: '--restart removes all that is there and begins anew', exit: EXIT.nothingExported });
    await removeAll(client);
  }
  await refuseNotEmpty(client, 'split', 'split into it');
  const comment = 'This database is being made by realmlift split and is not complete. --restart begins anew.';
  return new CopyInJournal(await beginJournal(client, SPLIT_SCHEMA, comment, identity).catch((cause: unknown) => { throw notAllowed(cause, client, 'split'); }));
}

/** For the other sessions of a split. */
export async function joinSplit(client: pg.Client): Promise<void> {
  await joinRun(client, SPLIT_SCHEMA);
}

/** Schemas of users, and what lies in `public`, which a new database has; of an extension that was there before nothing. */
const OBJECTS = `
  WITH own AS (SELECT classid, objid FROM pg_depend WHERE deptype = 'e')
  SELECT format('DROP SCHEMA %I CASCADE', nspname) AS drop FROM pg_namespace n
  WHERE oid >= 16384 AND nspname !~ '^pg_' AND NOT EXISTS (SELECT FROM own WHERE classid = 'pg_namespace'::regclass AND objid = n.oid)
  UNION ALL
  SELECT format('DROP PUBLICATION %I', pubname) FROM pg_publication
  UNION ALL
  SELECT CASE WHEN c.relkind IN ('r', 'p') THEN format('DROP TABLE IF EXISTS public.%I CASCADE', relname) WHEN c.relkind = 'v' THEN format('DROP VIEW IF EXISTS public.%I CASCADE', relname)
              WHEN c.relkind = 'm' THEN format('DROP MATERIALIZED VIEW IF EXISTS public.%I CASCADE', relname) WHEN c.relkind = 'f' THEN format('DROP FOREIGN TABLE IF EXISTS public.%I CASCADE', relname)
              ELSE format('DROP SEQUENCE IF EXISTS public.%I CASCADE', relname) END
  FROM pg_class c WHERE relnamespace = to_regnamespace('public') AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND NOT EXISTS (SELECT FROM own WHERE classid = 'pg_class'::regclass AND objid = c.oid)
  UNION ALL
  SELECT format('DROP ROUTINE IF EXISTS %s CASCADE', p.oid::regprocedure) FROM pg_proc p
  WHERE pronamespace = to_regnamespace('public') AND NOT EXISTS (SELECT FROM own WHERE classid = 'pg_proc'::regclass AND objid = p.oid)
  UNION ALL
  SELECT format('DROP TYPE IF EXISTS public.%I CASCADE', typname) FROM pg_type t
  WHERE typnamespace = to_regnamespace('public') AND typelem = 0 AND typrelid = 0 AND NOT EXISTS (SELECT FROM own WHERE classid = 'pg_type'::regclass AND objid = t.oid)`;

/** All of it, or nothing: it was empty before the split, and nobody uses what is not complete. */
async function removeAll(client: pg.Client): Promise<void> {
  try {
    await inTransaction(client, async () => {
      const { rows } = await client.query<{ drop: string }>(OBJECTS);
      for (const { drop } of rows) await client.query(drop);
      const left = await somethingThere(client);
      if (left !== undefined) throw new RealmliftError('DATABASE_NOT_EMPTY', 'split', `what an unfinished split left cannot be removed: the ${left}`, { hint: 'drop the database, and create it anew' });
    });
  } catch (cause) {
    if (cause instanceof RealmliftError) throw cause;
    throw new RealmliftError('DATABASE_NOT_EMPTY', 'split', `what an unfinished split left cannot be removed: ${(cause as Error).message}`, { hint: 'drop the database, and create it anew', cause });
  }
}

/** What a run that ended early has left, and how to go on. */
export interface Left {
  readonly left: string;
  readonly hint: string;
}

/** The error of a run with what it left; of one that was stopped the command line says it. */
export function goingOn(error: RealmliftError, { left, hint: how }: Left): RealmliftError {
  if (error.code === 'STOPPED') return error;
  return error.ending(`${left}: ${how}`, error.exit === EXIT.nothingExported ? EXIT.failed : error.exit);
}
