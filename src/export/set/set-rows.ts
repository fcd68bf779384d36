/**
 * The rows of a set of targets: table by table out of the database, each read once for all of them, into spools. Then they are all there,
 * and the database is not needed any more.
 *
 * A row that JSON cannot hold, or that the server cannot send, is the fault of its realm alone: the table is copied again without it.
 */
import { RealmliftError } from '../../errors.js';
import type { CompiledView } from '../../plan/views/compile-view.js';
import { setQuery, type FoundParameters, type SetPlan } from '../../plan/plan-set.js';
import { TENANT } from '../../plan/views/set-form.js';
import { RowFault, type DealtQuery } from '../segments/dealer.js';
import type { TargetEvent } from '../events.js';
import { openSeverity } from '../../verify/export-context.js';
import { kindOf } from '../references/close-references.js';
import { GONE_CLIENTS } from '../references/gone-clients.js';
import { LOST_ATTACHMENTS } from '../lost-attachments.js';
import { filesOf } from '../spools/message-index.js';
import { ledgerPath, partPath } from '../../package/part-paths.js';
import type { RunContext } from '../realm-run.js';
import type { MessageFilesOfSet } from '../spools/message-index.js';
import type { AnySetSegment, DealtRows } from '../segments/set-segments.js';
import { WANTED, unreadableClaims, wantedQuery } from './set-wanted.js';
import { holdsAllUploads } from '../wanted/wanted-rows.js';
import type { Lost } from '../../files/file-store.js';
import type { Spool } from '../spools/spool-format.js';
import { SpoolReader } from '../spools/spool-reader.js';
import { withoutFaulty } from './without-faulty.js';

/** Ranges of message ids for each worker, so that all end at about the same time. */
const RANGES_PER_JOB = 4;

/** Of the server's messages, from which on the set's are most of them. */
const SHARE = 0.2;

/** What a query of one realm's rows may fail with that is the fault of these rows. */
const ROWS_OF_ONE = new Set(['COPY_FAILED', 'TEXT_NOT_UTF8']);

/** Rough bytes of the queries that take longest beside the messages, to put them first. */
const FIRST = 1e15;

export interface SetRowsResult {
  /** By the path that the part has in an export of one realm, or by the name of what the files stage asks for. */
  readonly spools: ReadonlyMap<string, readonly Spool[]>;
  readonly messages: readonly Spool[];
  readonly usermessages: readonly Spool[];
  readonly files: MessageFilesOfSet;
  readonly unreadable: Lost | undefined;
  /** Targets that failed, by their number. */
  readonly failed: ReadonlyMap<number, RealmliftError>;
}

export class SetRows {
  readonly #context: RunContext;
  readonly #plan: SetPlan;
  readonly #directory: string;
  readonly #realmIds: Float64Array;
  readonly #ordinals: ReadonlyMap<number, number>;
  readonly #failed = new Map<number, RealmliftError>();
  readonly #spools = new Map<string, readonly Spool[]>();
  readonly #stop = new AbortController();
  readonly #signal: AbortSignal;
  /** The set has most of the server's messages, see #ranges. */
  #most = false;

  /** @param directory for the spools */
  constructor(context: RunContext, plan: SetPlan, directory: string) {
    this.#context = context;
    this.#plan = plan;
    this.#directory = directory;
    this.#realmIds = Float64Array.from(plan.parameters.realm_ids);
    this.#ordinals = new Map(plan.parameters.realm_ids.map((id, ordinal) => [id, ordinal]));
    this.#signal = AbortSignal.any([this.#stop.signal, context.snapshot.lost]);
  }

  /** @throws RealmliftError what ends the run for all targets */
  async run(): Promise<SetRowsResult> {
    const { tables, compiled } = this.#plan;
    const { snapshot: { client }, source } = this.#context;
    const unreadable = await unreadableClaims(client, source);
    const { ranges, most } = await this.#ranges();
    this.#most = most;
    const messages = this.#messages(ranges);
    const pieces: Promise<unknown>[] = [
      messages,
      ...tables.filter(({ name, file }) => file !== 'messages' && name !== 'zerver_client' && !isOfMessages(compiled.tables.get(name) as CompiledView)).map((table) => this.#view(partPath(table.name), compiled.tables.get(table.name) as CompiledView, table)),
      ...compiled.ledger.filter(({ name }) => name !== LOST_ATTACHMENTS && name !== GONE_CLIENTS).map((view) => this.#ledger(view)),
      ...WANTED.filter((name) => name !== 'wanted-claims' || unreadable === undefined).map((name) => this.#table(name, (ids) => wantedQuery(name, this.#of(ids), ids, holdsAllUploads(source)))),
    ];
    for (const piece of pieces) piece.catch((error: unknown) => this.#stop.abort(error));
    await Promise.allSettled(pieces);
    if (this.#signal.aborted) throw this.#signal.reason;
    return { spools: this.#spools, ...(await messages), unreadable, failed: this.#failed };
  }

  /** The set without those that have failed. */
  #of(realmIds: readonly number[]): SetPlan {
    return { ...this.#plan, parameters: { ...this.#plan.parameters, realm_ids: realmIds } };
  }

  get #alive(): number[] {
    return this.#plan.parameters.realm_ids.filter((_, ordinal) => !this.#failed.has(ordinal));
  }

  /** @param written how the rows of the view are written */
  #view(key: string, view: CompiledView, written: { keys: readonly string[]; stripped: readonly string[] }, found?: FoundParameters): Promise<void> {
    const columns = view.columns.filter((column) => column !== TENANT);
    return this.#table(key, (ids) => ({ table: view.name, anyRealm: this.#anyRealm(view.name), columns, keys: written.keys, stripped: written.stripped, select: `${setQuery(view, this.#of(ids), found)} ORDER BY t.id` }));
  }

  /** Do Zulip's rules take rows of this table whichever realm they name? */
  #anyRealm(table: string): boolean {
    return openSeverity(kindOf(this.#plan.compiled), table, 'realm', 'realm')?.severity === 'note';
  }

  #ledger(view: CompiledView, found?: FoundParameters): Promise<void> {
    return this.#view(ledgerPath(view.name), view, { keys: view.columns.filter((column) => column !== TENANT), stripped: [] }, found);
  }

  async #table(key: string, query: (realmIds: readonly number[]) => DealtQuery): Promise<void> {
    const { spools } = await this.#deal((ids) => ({ kind: 'set-table', realmIds: this.#realmIds, query: query(ids), directory: this.#directory }));
    this.#keep(key, spools);
  }

  #keep(key: string, spools: readonly Spool[]): void {
    this.#spools.set(key, spools);
    this.#finished(key, spools);
  }

  async #messages(ranges: readonly { after: number; until: number }[]): Promise<Pick<SetRowsResult, 'messages' | 'usermessages' | 'files'>> {
    const { tables, compiled } = this.#plan;
    const query = (name: string, end: string): ((ids: readonly number[]) => DealtQuery) => {
      const { columns, keys, stripped } = tables.find((table) => table.name === name) as (typeof tables)[number];
      return (ids) => ({ table: name, anyRealm: this.#anyRealm(name), columns, keys, stripped, select: `${setQuery(compiled.tables.get(name) as CompiledView, this.#of(ids))} ${end}` });
    };
    const most = this.#most;
    const dealt = await Promise.all(ranges.map(({ after, until }) => {
      const messages = query('zerver_message', `WHERE t.id > ${after} AND t.id <= ${until} ORDER BY t.id`);
      return this.#deal((ids) => ({ kind: 'set-messages', realmIds: this.#realmIds, query: messages(ids), directory: this.#directory, off: most ? 'enable_sort' : undefined }));
    }));
    const messages = dealt.flatMap(({ spools }) => spools).filter(({ rows }) => rows > 0);
    const clients = new Map(dealt.flatMap((each) => each.clients).map((pair) => [pair.join(), pair]));
    const reader = new SpoolReader();
    const files = filesOf(reader, messages, this.#realmIds.length);
    reader.close();
    this.#tell({ kind: 'planned', messages: messages.reduce((sum, { rows }) => sum + rows, 0), messageFiles: files.until.length });
    const rowsOfMessages = async (name: string, files?: MessageFilesOfSet): Promise<Spool[]> => {
      const spools = await Promise.all(messages.map(async (spool) => {
        const rows = query(name, `WHERE t.message_id >= ${spool.firstId} AND t.message_id <= ${spool.lastId} ORDER BY t.id`);
        return (await this.#deal((ids) => ({ kind: 'set-rows-of-messages', realmIds: this.#realmIds, query: rows(ids), directory: this.#directory, messages: spool, files, off: most ? 'enable_nestloop' : undefined }))).spools;
      }));
      return spools.flat().filter(({ rows }) => rows > 0);
    };
    const others = tables.filter(({ name, file }) => file !== 'messages' && isOfMessages(compiled.tables.get(name) as CompiledView));
    const [usermessages] = await Promise.all([
      rowsOfMessages('zerver_usermessage', files),
      ...others.map(async ({ name }) => this.#keep(partPath(name), await rowsOfMessages(name))),
      this.#clients([...clients.values()]),
    ]);
    return { messages, usermessages, files };
  }

  /** The messages tell which clients they were sent with, which would take another look at each of them. */
  async #clients(pairs: readonly (readonly [ordinal: number, client: number])[]): Promise<void> {
    const table = this.#plan.tables.find(({ name }) => name === 'zerver_client');
    if (table === undefined) return;
    const { tables, ledger } = this.#plan.compiled;
    const found = { message_client_realm_ids: pairs.map(([ordinal]) => this.#realmIds[ordinal] as number), message_client_ids: pairs.map(([, client]) => client) };
    const gone = ledger.filter(({ name }) => name === GONE_CLIENTS);
    await Promise.all([this.#view(partPath(table.name), tables.get(table.name) as CompiledView, table, found), ...gone.map((view) => this.#ledger(view, found))]);
  }

  /** `most`: the set has so many of the server's messages that they are best read in the order of their ids, and usermessages by ranges of these. */
  async #ranges(): Promise<{ ranges: { after: number; until: number }[]; most: boolean }> {
    const { snapshot: { client }, source, pool } = this.#context;
    const { rows: [bounds] } = await client.query<{ first: number | null; last: number }>('SELECT min(id)::float8 AS first, max(id)::float8 AS last FROM zerver_message');
    if (bounds === undefined || bounds.first === null) return { ranges: [], most: false };
    const { first, last } = { ...bounds, first: bounds.first };
    const count = Math.min(pool.threads * RANGES_PER_JOB, last - first + 1);
    const edge = (index: number): number => first - 1 + Math.floor((last - first + 1) * index / count);
    const ranges = Array.from({ length: count }, (_, index) => ({ after: edge(index), until: edge(index + 1) }));
    if (source.catalog.get('zerver_message')?.columns.has('realm_id') !== true) return { ranges, most: true };
    const { rows: [estimate] } = await client.query<{ 'QUERY PLAN': [{ Plan: { 'Plan Rows': number } }] }>(`EXPLAIN (FORMAT JSON) SELECT FROM zerver_message WHERE realm_id = ANY ('{${this.#realmIds.join(',')}}'::bigint[])`);
    const expected = estimate?.['QUERY PLAN'][0].Plan['Plan Rows'] ?? 0;
    return { ranges, most: expected > SHARE * (source.catalog.get('zerver_message')?.estimatedRows ?? 0) };
  }

  /** Has the segment done for the targets that are under way, and without a target whose row is at fault. */
  async #deal(segment: (realmIds: readonly number[]) => Omit<AnySetSegment, 'alone'>): Promise<DealtRows> {
    const dealt = await withoutFaulty(this.#alive, async (ids) => {
      // Another table may have found one of them faulty meanwhile.
      const alive = ids.filter((id) => !this.#failed.has(this.#ordinals.get(id) as number));
      if (alive.length === 0) return { spools: [], clients: [] };
      try {
        return await this.#work({ ...segment(alive), alone: alive.length === 1 } as AnySetSegment);
      } catch (error) {
        throw alive.length === 1 && error instanceof RealmliftError && ROWS_OF_ONE.has(error.code) ? new RowFault(error, alive[0] as number) : error;
      }
    }, (realmId, fault) => this.#failed.set(this.#ordinals.get(realmId) as number, fault));
    return { spools: dealt.flatMap(({ spools }) => spools), clients: dealt.flatMap(({ clients }) => clients) };
  }

  async #work(segment: AnySetSegment): Promise<DealtRows> {
    const { pool, source } = this.#context;
    let result: DealtRows = { spools: [], clients: [] };
    const { table } = segment.query;
    const dataClass = this.#plan.tables.find(({ name }) => name === table)?.dataClass ?? 'ledger';
    const weight = segment.kind === 'set-table' ? (source.catalog.get(table)?.bytes ?? 0) : FIRST;
    await pool.run({ segment, directory: this.#directory, schema: source.schema }, weight, this.#signal, (message) => {
      if (message.kind === 'dealt') result = message.dealt;
      else if (message.kind === 'progress') this.#tell({ ...message, dataClass });
    });
    return result;
  }

  /** Of no target alone. */
  #tell(event: TargetEvent): void {
    this.#context.onEvent({ target: '', ...event });
  }

  /** A table is one part of all targets. */
  #finished(path: string, spools: readonly Spool[]): void {
    const table = this.#plan.tables.find(({ name }) => partPath(name) === path);
    if (table === undefined) return;
    const rows = spools.reduce((sum, each) => sum + each.rows, 0);
    this.#tell({ kind: 'part', part: { path, size: 0, sha256: '', rows: { [table.name]: rows } }, dataClass: table.dataClass, kept: false });
  }
}

/** Does the view ask by the ids of messages, as usermessages do? */
function isOfMessages({ sql }: CompiledView): boolean {
  return sql.includes(':message_ids');
}
