/** Names of the database in statements that people are told. */
import pg from 'pg';

/** What PostgreSQL takes as it stands. */
const PLAIN = /^[a-z_][a-z0-9_]*$/;

/** A name such as `schema.table`, of which only those parts are quoted that would be others without. */
export function readableName(...parts: readonly string[]): string {
  return parts.map((part) => (PLAIN.test(part) ? part : pg.escapeIdentifier(part))).join('.');
}
