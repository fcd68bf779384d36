/**
 * Into a server that holds no realm yet, rows are loaded without the indexes of the two largest tables and without their foreign keys, and
 * these are made again afterwards, which takes less time than to keep them up row by row. Their definitions are in the journal before
 * they are dropped, so that whatever happens --resume and --undo make them again. Nobody misses them: the server has no users, and no other
 * load begins meanwhile.
 */
import type pg from 'pg';
import { tellProgress } from '../../narration.js';
import type { SessionTask } from '../../snapshot/session-pool.js';
import { inTransaction } from '../../copy/copy-in-journal.js';
import { targetFault } from '../../copy/target-fault.js';
import { SYSTEM_REALM } from '../../plan/realm.js';
import { aloneOnServer, type LoadJournal } from './load-journal.js';
import { MESSAGES, USERMESSAGES } from '../source/load-source.js';

const TABLES = [MESSAGES, USERMESSAGES];

/** Rows of usermessages from which on it is worth while. */
export const WORTH_WHILE = 50_000;

/** Memory for one index: two are made at once, and a server that takes a realm has it. */
const INDEX_MEMORY = '256MB';

interface Definition {
  readonly name: string;
  readonly drop: string;
  readonly make: string;
}

/**
 * Drops indexes and foreign keys, if the server is empty, no other load is at it, the role owns the tables and none of them is partitioned:
 * the indexes of the partitions have names, places and comments of their own, and go with that of the whole.
 *
 * @param worthWhile whether so many rows will come
 * @returns whether it did, now or in an earlier run
 */
export async function bareTables(client: pg.Client, journal: LoadJournal, schema: string, worthWhile: boolean): Promise<boolean> {
  if (journal.isDone('bare')) return true;
  return worthWhile && aloneOnServer(client, async () => {
    if (!(await isEmpty(client)) || !(await areOwn(client, schema))) return false;
    await journal.step(client, 'bare', async () => {
      const all = await definitions(client, schema);
      await journal.takeAway(client, all);
      for (const { drop } of all) await client.query(drop);
    });
    return true;
  });
}

/** What makes them again: indexes first, since keys and clusters rest on them. */
export async function makeAgain(client: pg.Client, journal: LoadJournal): Promise<{ readonly indexes: SessionTask[]; readonly keys: SessionTask[] }> {
  const all = await journal.toMake(client);
  const task = ({ name, sql }: { readonly name: string; readonly sql: string }): SessionTask => async (session) => {
    await inTransaction(session, async () => {
      await session.query(`SET LOCAL maintenance_work_mem = '${INDEX_MEMORY}'`);
      await session.query(sql);
      await journal.made(session, name);
      tellProgress(1);
    }).catch((error: unknown) => { throw targetFault(error, name, 'load'); });
  };
  const isKey = ({ sql }: { readonly sql: string }): boolean => sql.includes(' FOREIGN KEY ');
  return { indexes: all.filter((each) => !isKey(each)).map(task), keys: all.filter(isKey).map(task) };
}

async function isEmpty(client: pg.Client): Promise<boolean> {
  const { rowCount } = await client.query('SELECT FROM zerver_realm WHERE string_id <> $1 LIMIT 1', [SYSTEM_REALM]);
  return rowCount === 0;
}

async function areOwn(client: pg.Client, schema: string): Promise<boolean> {
  const { rows: [row] } = await client.query<{ own: boolean }>(`
    SELECT bool_and(pg_has_role(c.relowner, 'USAGE') AND c.relkind = 'r' AND NOT c.relispartition) AND has_schema_privilege(n.oid, 'CREATE') AS own
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = ANY ($2) GROUP BY n.oid`, [schema, TABLES]);
  return row?.own === true;
}

/**
 * All indexes of the two, with their comments and tablespaces, but primary keys, on which others' foreign keys rest, and those that could
 * not be made again as they are: what replication or CLUSTER is told to use, what lies where the role may not create anything, what is not
 * valid, and what has settings that its definition does not tell (of its statistics, of the index of a constraint). And all their foreign keys.
 * Of constraints those stay whose triggers somebody has disabled.
 */
async function definitions(client: pg.Client, schema: string): Promise<Definition[]> {
  const { rows } = await client.query<Definition>(`
    WITH tables AS (SELECT c.oid, n.nspname AS schema, format('%I.%I', n.nspname, c.relname) AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = ANY ($2)),
    indexes AS (
      SELECT i.oid, i.relname, format('%I.%I', t.schema, i.relname) AS name, format('SET LOCAL default_tablespace = %L', coalesce(s.spcname, '')) AS place,
             format('COMMENT ON INDEX %I.%I IS %L', t.schema, i.relname, obj_description(i.oid, 'pg_class')) AS comment
      FROM tables t JOIN pg_index x ON x.indrelid = t.oid JOIN pg_class i ON i.oid = x.indexrelid LEFT JOIN pg_tablespace s ON s.oid = i.reltablespace
      WHERE NOT x.indisreplident AND NOT x.indisclustered AND (i.reltablespace = 0 OR has_tablespace_privilege(s.oid, 'CREATE'))
        AND x.indisvalid AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = i.oid AND a.attstattarget >= 0)
        AND (i.reloptions IS NULL OR NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.oid)))
    SELECT k.conname AS name, format('ALTER TABLE %s DROP CONSTRAINT %I', t.name, k.conname) AS drop,
           concat_ws('; ', i.place, format('ALTER TABLE %s ADD CONSTRAINT %I %s', t.name, k.conname, pg_get_constraintdef(k.oid)),
             format('COMMENT ON CONSTRAINT %I ON %s IS %L', k.conname, t.name, obj_description(k.oid, 'pg_constraint')), i.comment) AS make
    FROM tables t JOIN pg_constraint k ON k.conrelid = t.oid LEFT JOIN indexes i ON i.oid = k.conindid AND k.contype IN ('u', 'x')
    WHERE (k.contype = 'f' OR (i.oid IS NOT NULL AND NOT EXISTS (SELECT FROM pg_constraint f WHERE f.contype = 'f' AND f.confrelid = t.oid AND f.conindid = i.oid)))
      AND NOT EXISTS (SELECT FROM pg_trigger g WHERE g.tgconstraint = k.oid AND g.tgenabled <> 'O')
    UNION ALL
    SELECT i.relname, format('DROP INDEX %s', i.name), concat_ws('; ', i.place, pg_get_indexdef(i.oid), i.comment)
    FROM indexes i WHERE NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.oid)`, [schema, TABLES]);
  return rows;
}
