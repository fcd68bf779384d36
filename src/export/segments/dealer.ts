/** Deals the rows of one COPY out to the targets of a set, or to their messages files, while they stream. */
import type pg from 'pg';
import { RealmliftError } from '../../errors.js';
import { TENANT } from '../../plan/views/set-form.js';
import type { DealtSink } from '../../transform/row-sinks.js';
import { copyEncoded, describeQuery, encoderOf, type Progress, type RowQuery } from './row-query.js';
import type { SpoolSeries } from '../spools/spool-series.js';

/** Places of a row's shown values. */
const SHOWN = { tenant: 0, id: 1, realm: 2, further: 3 } as const;

export interface DealtQuery extends RowQuery {
  /** Columns of the query behind the tenant. */
  readonly columns: readonly string[];
  /** A query of the same columns that costs the server less, to ask for their types; by default the query itself. */
  readonly described?: string;
  /** Rows may name another realm than the one whose they are. */
  readonly anyRealm?: boolean;
}

/** Which group of the spool a row goes to; {@link NOBODY} for a row that is not the target's. @param ordinal of the target; `further` the value of the further column, NaN without one */
export type Grouping = (ordinal: number, id: number, further: number) => number;

/** Told of a row once it is in the spool, with its bytes of JSON. */
export type OnRow = (group: number, id: number, further: number, length: number) => void;

export const NOBODY = -1;

/** Ids of the targets' realms, in their order. */
export class Ordinals {
  readonly #byId: ReadonlyMap<number, number>;

  constructor(realmIds: Float64Array) {
    this.#byId = new Map(Array.from(realmIds, (id, ordinal) => [id, ordinal]));
  }

  /** @throws RealmliftError ROW_FOREIGN */
  of(realmId: number, table: string): number {
    const ordinal = this.#byId.get(realmId);
    if (ordinal === undefined) throw foreign(table, 'a row came of a realm that is not exported');
    return ordinal;
  }
}

function foreign(table: string, what: string): RealmliftError {
  return new RealmliftError('ROW_FOREIGN', 'copy', what, { table, hint: 'nothing of it was published; the view of this table selects what it must not' });
}

/**
 * Copies the query's rows into the spool.
 *
 * @param further name of a column whose value the grouping wants
 * @throws RealmliftError ROW_FOREIGN when a row is of a realm outside the set, or its table says that it is another's; RowFault
 */
export async function deal(
  client: pg.Client, query: DealtQuery, ordinals: Ordinals, spools: SpoolSeries, group: Grouping, onProgress: (progress: Progress) => void,
  further?: string, onRow: OnRow = () => undefined,
): Promise<void> {
  const { table, columns } = query;
  const fields = await describeQuery(client, { ...query, select: query.described ?? query.select });
  const sink = new Dealt(query, ordinals, spools, group, further, onRow);
  const encoder = encoderOf({ ...query, keys: [TENANT, ...query.keys], stripped: [...query.stripped, TENANT] }, fields, sink);
  if (columns.length !== fields.length - 1) throw new RealmliftError('UNEXPECTED', 'copy', 'the query has other columns than the plan', { table });
  try {
    await copyEncoded(client, query, fields, encoder, onProgress);
  } catch (error) {
    throw error instanceof RealmliftError && error.stage === 'transform' && error.code !== 'COPY_MALFORMED' ? new RowFault(error, sink.tenant) : error;
  }
}

/** A row that JSON cannot hold, or that the server cannot send: the realm's fault, and not that of the others. */
export class RowFault extends RealmliftError {
  /** Id of the realm; NaN where only those that were asked for together are known. */
  readonly realmId: number;

  constructor(cause: RealmliftError, realmId: number) {
    super(cause.code, cause.stage, cause.message, { table: cause.table, hint: cause.hint, again: cause.again, exit: cause.exit, cause });
    this.realmId = realmId;
  }
}

class Dealt implements DealtSink {
  readonly shown: readonly number[];
  readonly values: Float64Array;
  readonly #table: string;
  readonly #ordinals: Ordinals;
  readonly #spools: SpoolSeries;
  readonly #grouping: Grouping;
  readonly #onRow: OnRow;
  #started = false;
  #group = NOBODY;
  #length = 0;
  /** The last row's: most rows of a small table follow one of the same realm. */
  #tenant = NaN;
  #ordinal = -1;

  constructor({ table, columns, anyRealm }: DealtQuery, ordinals: Ordinals, spools: SpoolSeries, grouping: Grouping, further: string | undefined, onRow: OnRow) {
    const at = (name: string | undefined): number => (name === undefined ? -1 : columns.indexOf(name) + 1 || -1);
    // What a table says itself of whose its rows are.
    this.shown = [0, at('id'), table === 'zerver_realm' || anyRealm === true ? -1 : at('realm_id'), at(further)];
    this.values = new Float64Array(this.shown.length).fill(NaN);
    this.#table = table;
    this.#ordinals = ordinals;
    this.#spools = spools;
    this.#grouping = grouping;
    this.#onRow = onRow;
  }

  get tenant(): number {
    return this.values[SHOWN.tenant] as number;
  }

  write(bytes: Uint8Array): void {
    if (!this.#started) this.#start();
    if (this.#group === NOBODY) return;
    this.#length += bytes.length;
    this.#spools.writer.write(this.#group, bytes);
  }

  endRow(): void {
    this.#started = false;
    if (this.#group === NOBODY) return;
    const id = this.values[SHOWN.id] as number;
    this.#spools.writer.endRow(this.#group, id);
    const realm = this.values[SHOWN.realm] as number;
    // Of a row longer than the transform's buffer it was not known before.
    if (!Number.isNaN(realm) && realm !== this.tenant) throw foreign(this.#table, 'a row came for another realm than the one that it names');
    this.#onRow(this.#group, id, this.values[SHOWN.further] as number, this.#length);
    this.#spools.next();
  }

  #start(): void {
    const { values } = this;
    const tenant = values[SHOWN.tenant] as number;
    if (tenant !== this.#tenant) {
      this.#tenant = tenant;
      this.#ordinal = this.#ordinals.of(tenant, this.#table);
    }
    this.#length = 0;
    this.#group = this.#grouping(this.#ordinal, values[SHOWN.id] as number, values[SHOWN.further] as number);
    this.#started = true;
    if (this.#group !== NOBODY) this.#spools.writer.startRow(this.#group);
  }
}
