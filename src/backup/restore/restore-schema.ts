/** The schema's part of a restore: what stands before the rows in one transaction, what comes after them entry by entry, and where the sequences stand. */
import type pg from 'pg';
import { RealmliftError } from '../../errors.js';
import { isLoss } from '../../lost-connection.js';
import { isNameUnknown } from '../../snapshot/unqualified-names.js';
import { partNamed } from '../contents/backup-contents.js';
import type { OpenBackup } from '../contents/find-backup.js';
import { readPart } from '../contents/sealing.js';
import { leaveOut, parseSchemaScript, withoutUnknownSettings, withoutUnknownTablespaces } from '../schema/schema-script.js';
import type { LeftOut, SchemaEntry, SchemaScript } from '../schema/schema-script.js';
import { executeScript } from '../schema/script-query.js';
import { qualified, type SequenceValue } from '../source/source-catalog.js';

/** The scripts of a backup, as this server can execute them. */
export interface Schema {
  readonly preData: SchemaScript;
  readonly largeObjects: string | undefined;
  readonly postData: SchemaScript;
  /** Entries after which the user's own code is live in whatever is done to the schema: for the very end. */
  readonly last: readonly SchemaEntry[];
  /** Roles that the scripts still name. */
  readonly roles: readonly string[];
  /** What is not as at the source, in words. */
  readonly warnings: readonly string[];
}

/** Who has a schema made, for its messages. */
export type SchemaWork = 'restore' | 'split';
const DONE: Readonly<Record<SchemaWork, string>> = { restore: 'restored', split: 'made' };

/** Kinds of objects that only a superuser may make, and without which all rows are there. */
const SUPERUSERS = /^(EVENT TRIGGER|PUBLICATION|SUBSCRIPTION|SECURITY LABEL|FOREIGN DATA WRAPPER|PROCEDURAL LANGUAGE)/;

/** Bytes of a script: what a string of Node can hold. */
const LONGEST_SCRIPT = 500_000_000;

/** Statements that name roles. */
const NAMES_ROLES = /^(?:GRANT|REVOKE|CREATE POLICY|ALTER|SET SESSION AUTHORIZATION|CREATE USER MAPPING) .*/gm;

export async function readSchema(backup: OpenBackup, leftOut: LeftOut, client: pg.Client, stop: AbortSignal): Promise<Schema> {
  const { rows } = await client.query<{ name: string }>('SELECT name FROM pg_catalog.pg_settings');
  const known = new Set(rows.map(({ name }) => name));
  const { rows: spaces } = await client.query<{ name: string }>('SELECT spcname AS name FROM pg_catalog.pg_tablespace');
  const tablespaces = new Set(spaces.map(({ name }) => Buffer.from(name).toString('latin1')));
  const lacked = new Set<string>();
  const script = async (name: string): Promise<string> => {
    const stored = (await readPart(backup.store, partNamed(backup.contents, name), backup.open, stop, LONGEST_SCRIPT)).toString('latin1');
    const { script, lacking } = withoutUnknownTablespaces(withoutUnknownSettings(leaveOut(stored, leftOut), known), (space) => tablespaces.has(space));
    for (const space of lacking) lacked.add(readable(space));
    return script;
  };
  const { schema, source } = backup.contents;
  const [before, objects, after] = [await script(schema.preData), schema.largeObjects === undefined ? undefined : await script(schema.largeObjects), await script(schema.postData)];
  const postData = parseSchemaScript(after);
  const last = postData.entries.filter(({ type }) => type === 'EVENT TRIGGER');
  const naming = [before, objects ?? '', after].flatMap((text) => text.match(NAMES_ROLES) ?? []).join('\n');
  const isNamed = (role: string): boolean => naming.includes(Buffer.from(role.replaceAll('"', '""')).toString('latin1'));
  return {
    preData: parseSchemaScript(before), largeObjects: objects, last, postData: { ...postData, entries: postData.entries.filter((entry) => !last.includes(entry)) },
    roles: leftOut.owners || leftOut.privileges ? source.roles.filter(isNamed) : source.roles,
    warnings: [...lacked].map((space) => `the server has no tablespace ${space}: what was in it is in the database's own`),
  };
}

/** @param encoding of the source @throws RealmliftError ENCODING */
export async function refuseOtherEncoding(client: pg.Client, encoding: string, work: SchemaWork): Promise<void> {
  const { rows: [row] } = await client.query<{ encoding: string }>(`SELECT current_setting('server_encoding') AS encoding`);
  if (row?.encoding === encoding) return;
  throw new RealmliftError('ENCODING', work, `the database is encoded in ${row?.encoding ?? 'an unknown way'}, the source in ${encoding}`, { hint: `createdb --template=template0 --encoding=${encoding} NAME` });
}

/**
 * Executes an entry in the transaction that the caller has begun, as pg_restore does: with no search path. Where a function of the
 * database then does not find what it names, it is executed again with the search path that the database had.
 *
 * @param path schemas in SQL; empty for none
 * @returns why it was left out, if it is of the kind that needs a superuser and the role is none
 * @throws RealmliftError SCHEMA_REFUSED; the error by which the connection ended
 */
export async function executeEntry(client: pg.Client, entry: SchemaEntry, path: string, work: SchemaWork): Promise<string | undefined> {
  const attempt = (before: string): Promise<void> => executeScript(client, `SAVEPOINT entry;\n${before}${entry.sql}\n;RELEASE SAVEPOINT entry`);
  try {
    await attempt('').catch(async (error: unknown) => {
      await client.query('ROLLBACK TO SAVEPOINT entry');
      if (path === '' || !isNameUnknown(error)) throw error;
      await attempt(`SET LOCAL search_path = ${Buffer.from(path).toString('latin1')};\n`);
      await client.query(`SET LOCAL search_path = ''`);
    });
    return undefined;
  } catch (cause) {
    if (isLoss(cause)) throw cause;
    const error = refused(entry, cause, work);
    if ((cause as { code?: string }).code !== '42501' || !SUPERUSERS.test(entry.type)) throw error;
    await client.query('ROLLBACK TO SAVEPOINT entry');
    return `${objectOf(entry)} was not ${DONE[work]}: ${(cause as Error).message}`;
  }
}

/** Executes statements that are no entry: settings of a session, large objects. */
export async function executeSettings(client: pg.Client, sql: string, work: SchemaWork): Promise<void> {
  await executeScript(client, sql).catch((cause: unknown) => { throw isLoss(cause) ? cause : refused({ type: 'settings', sql: '' }, cause, work); });
}

export async function setSequences(client: pg.Client, sequences: readonly SequenceValue[]): Promise<void> {
  for (const sequence of sequences) await client.query('SELECT pg_catalog.setval($1::regclass, $2, $3)', [qualified(client, sequence), sequence.value, sequence.called]);
}

/** `INDEX messages_by_subject`. */
function objectOf({ type, sql }: SchemaEntry): string {
  const name = /^-- Name: (.*); Type: .*?; Schema: /m.exec(sql)?.[1];
  return name === undefined ? type : `${type} ${readable(name)}`;
}

/** Of a script, which has one character a byte. */
function readable(name: string): string {
  return Buffer.from(name, 'latin1').toString('utf8');
}

/** The errors speak of objects; a violated constraint's detail, which quotes values, is left out. */
function refused(entry: SchemaEntry, cause: unknown, work: SchemaWork): RealmliftError {
  const { code, message } = cause as { code?: string; message: string };
  return new RealmliftError('SCHEMA_REFUSED', work, `the server refuses the schema (${objectOf(entry)}): ${message} (${code ?? 'without a SQLSTATE'})`, { hint: hintFor(entry, code, message, work), cause });
}

function hintFor({ type }: SchemaEntry, code: string | undefined, message: string, work: SchemaWork): string | undefined {
  if (isNameUnknown({ code })) return 'if a function names it without a schema: ALTER FUNCTION … SET search_path = … in the unfinished database';
  switch (code) {
    case '0A000': case '58P01': return "install the extension's package, or the dictionary's files, on this server";
    case '53100': return `make room on the disk of the database server, then run the ${work} again`;
    case '42501':
      if (type === 'EXTENSION') return `let a superuser CREATE EXTENSION in the empty database, then run the ${work} again`;
      if (work === 'split') return 'split as a superuser, or as the owner of the database';
      if (/role|owner/.test(message)) return '--no-owner --no-privileges leaves everything to the role that restores; or restore as a superuser';
      return 'restore as a superuser, or as the owner of the database; --no-owner --no-privileges asks for the fewest rights';
    default: return undefined;
  }
}
