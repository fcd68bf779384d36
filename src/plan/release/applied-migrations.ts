/**
 * What Django has recorded of the database's own history: the table django_migrations. It is the only statement about the
 * server's version that the database itself makes, so both the detected version and migration_status.json start here.
 */
import type pg from 'pg';
import { EXIT, RealmliftError } from '../../errors.js';
import { readableName } from '../../readable-name.js';

export interface AppliedMigration {
  /** Django's app label, e.g. `zerver`. */
  readonly app: string;
  /** The migration's file name without `.py`, e.g. `0697_empty_topic_name_for_dms_from_third_party_imports`. */
  readonly name: string;
}

/** Where Zulip keeps its tables: its own schema, or `public` on old and unusual servers. */
export const SCHEMAS = ['zulip', 'public'];

/**
 * Every migration recorded as applied, in the order in which they were applied.
 *
 * @param schema the schema that holds Zulip's tables; `zulip` and `public` are tried after it
 * @throws RealmliftError NOT_ZULIP when no schema has the table or it names no zerver migration, RIGHT_MISSING when it cannot be read
 */
export async function appliedMigrations(client: pg.ClientBase, schema: string): Promise<readonly AppliedMigration[]> {
  const { rows } = await client.query<{ schema: string }>(
    `SELECT n.nspname AS schema FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relname = 'django_migrations' AND c.relkind IN ('r', 'p', 'v') AND n.nspname = ANY ($1::text[])
      ORDER BY array_position($1::text[], n.nspname::text) LIMIT 1`,
    [[schema, ...SCHEMAS]],
  );
  const found = rows[0]?.schema;
  if (found === undefined) throw notZulip(`no table django_migrations in the schemas ${[...new Set([schema, ...SCHEMAS])].join(', ')}`);
  const applied = await read(client, found);
  if (!applied.some((migration) => migration.app === 'zerver')) throw notZulip('django_migrations names no migration of zerver');
  return applied;
}

async function read(client: pg.ClientBase, schema: string): Promise<readonly AppliedMigration[]> {
  try {
    return (await client.query<AppliedMigration>(`SELECT app, name FROM ${client.escapeIdentifier(schema)}.django_migrations ORDER BY id`)).rows;
  } catch (cause) {
    const { code } = cause as { code?: string };
    if (code === '42703') throw notZulip(`the table django_migrations in the schema ${schema} is none of Django's`);
    if (code !== '42501') throw cause;
    throw new RealmliftError('RIGHT_MISSING', 'plan', 'no right to read the table', {
      table: 'django_migrations', hint: `GRANT USAGE ON SCHEMA ${readableName(schema)} and GRANT SELECT ON ${readableName(schema, 'django_migrations')} to this role`, cause,
    });
  }
}

function notZulip(reason: string): RealmliftError {
  return new RealmliftError('NOT_ZULIP', 'plan', `this is not a Zulip database: ${reason}`, { hint: 'check PGDATABASE or DATABASE_URL', exit: EXIT.nothingExported });
}

/** The numbers a migration stands for: its own, or all that a squashed one (`0001_squashed_0569`) replaces. */
export function coveredNumbers(name: string): number[] {
  const first = Number(/^\d+/.exec(name)?.[0] ?? 0);
  const last = newestNumber(name);
  return Array.from({ length: last - first + 1 }, (_, index) => first + index);
}

/** The greatest migration number in a name: `0001_squashed_0569` reaches to 569. */
export function newestNumber(name: string): number {
  const [, own, squashed] = /^(\d+)(?:_squashed_(\d+))?/.exec(name) ?? [];
  return Math.max(Number(own ?? 0), Number(squashed ?? 0));
}
