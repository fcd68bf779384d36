/**
 * Which types may travel in COPY's binary format.
 *
 * Binary is the faster one (a search vector costs four times as much as text), but some types' binary form holds numbers that mean
 * something in this database alone: the reg* types send an OID, arrays and composites the OID of their element types.
 * A table with a column of such a type, or of a type from outside PostgreSQL's core, is copied as text, as pg_dump would.
 */
import type pg from 'pg';

/** OIDs below were assigned by hand and are the same in every server. src/include/access/transam.h */
const FIRST_GENERATED_OID = 10000;

interface TypeRow {
  readonly oid: string;
  readonly kind: string;
  readonly base: string;
  readonly element: string;
  readonly subtype: string;
  readonly sends: boolean;
  readonly name: string;
}

const TYPES = `
  SELECT t.oid::text, t.typtype AS kind, t.typbasetype::text AS base, CASE WHEN t.typlen = -1 THEN t.typelem ELSE 0 END::text AS element,
         coalesce((SELECT rngsubtype FROM pg_range WHERE rngtypid = t.oid OR to_jsonb(pg_range) ->> 'rngmultitypid' = t.oid::text), 0)::text AS subtype,
         t.typsend <> 0 AND t.typreceive <> 0 AS sends, t.typname AS name
  FROM pg_type t WHERE t.typtype <> 'p'`;

/** xml: what is received is checked against the encoding that it declares. */
const NOT_AS_SENT = /^(reg\w+|xml|aclitem)$/;

/** None where the database is not in UTF-8: its texts travel as they are, which COPY can for its text format alone. */
export async function portableTypes(client: pg.Client): Promise<(type: number) => boolean> {
  const { rows: [server] } = await client.query<{ encoding: string }>(`SELECT current_setting('server_encoding') AS encoding`);
  if (server?.encoding !== 'UTF8') return () => false;
  const types = new Map((await client.query<TypeRow>(TYPES)).rows.map((row) => [Number(row.oid), row]));
  const isPortable = (oid: number): boolean => {
    const type = types.get(oid);
    if (type === undefined) return false;
    switch (type.kind) {
      case 'd': return isPortable(Number(type.base));
      // An enum's value is sent as its label.
      case 'e': return true;
      case 'r': case 'm': return isPortable(Number(type.subtype));
      case 'b': {
        const element = Number(type.element);
        if (element !== 0 && type.name.startsWith('_')) return element < FIRST_GENERATED_OID && isPortable(element);
        return oid < FIRST_GENERATED_OID && type.sends && !NOT_AS_SENT.test(type.name);
      }
      default: return false;
    }
  };
  return isPortable;
}
