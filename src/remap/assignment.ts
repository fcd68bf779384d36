/** What decides the new ids: the new server's bots and clients, and where new ids begin. */
import { RealmliftError } from '../errors.js';

export interface BotIds {
  readonly user: number;
  readonly recipient: number;
}

export interface Assignment {
  /** The new server's system bots by address; undefined leaves their ids. */
  readonly bots: ReadonlyMap<string, BotIds> | undefined;
  /** The new server's clients by name; undefined treats clients like any other rows. */
  readonly clients: ReadonlyMap<string, number> | undefined;
  /** Where ids of a client begin that the new server does not have; undefined when it must have all. */
  readonly nextClient: number | undefined;
  /** Give every row of every table a new id; undefined leaves all but bots and clients. */
  readonly all: NewIds | undefined;
  /** Rows that the new server has already, beside those of bots and clients. */
  readonly known?: KnownIds;
  /** Usermessages, which nothing refers to, are numbered as they come, by whoever reads them. */
  readonly usermessagesAsTheyCome?: boolean;
}

/** Old and new ids by table. */
export type KnownIds = Readonly<Record<string, readonly (readonly [number, number])[]>>;

export interface NewIds {
  /** The highest id that is taken: new ones begin above. */
  base(table: string): number;
  /** The n-th new id, from 1 on. Where others take ids too, they are not dense. */
  nth(table: string, n: number): number;
  /** The highest id that the table's column can hold. */
  limit(table: string): number;
}

/** The highest number of PostgreSQL's type integer. */
export const INTEGER = 2 ** 31 - 1;

/**
 * `--id-base N`: the same for all tables. Without a database to ask, every id is held to be a 32-bit integer but those of
 * usermessages: in the database of 8.4 that is so; in that of 11.0-dev many columns are wider, but recipients still name users,
 * channels and groups in 32 bits. With the new server's database its own columns decide.
 */
export function aboveBase(base: number): NewIds {
  return { base: () => base, nth: (_table, n) => base + n, limit: (table) => (table === 'zerver_usermessage' ? Number.MAX_SAFE_INTEGER : INTEGER) };
}

/** @throws RealmliftError ID_RANGE */
export function refuseRange(table: string, highest: number, ids: NewIds): void {
  const limit = ids.limit(table);
  if (highest <= limit) return;
  throw new RealmliftError('ID_RANGE', 'remap', `new ids up to ${highest} do not fit the column, which ends at ${limit}`, {
    table, hint: 'choose a lower --id-base',
  });
}
