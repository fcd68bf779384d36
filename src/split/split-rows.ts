/**
 * Which rows of which tables a split takes, as queries.
 *
 * The rows of an exported table are those that its views select for each realm. A column has the view's value: a scrubbed user stays
 * scrubbed; where the view writes it for JSON alone, the row's own. What a server needs beside them says server-rows.ts.
 */
import type pg from 'pg';
import { describeColumns } from '../copy/describe-columns.js';
import { quote, type CompiledView } from '../plan/views/compile-view.js';
import type { ExportPlan } from '../plan/plan-export.js';
import { bindMessageIds, bindMessageRange, MESSAGE_RANGE } from '../plan/parameters.js';
import { messageIdsQuery, messagesQuery, queryOf, type PlannedTable } from '../plan/plan-tables.js';
import type { Source } from '../plan/source.js';
import { followsRelease } from '../plan/release/zulip-releases.js';
import { freshValue, isSecret, neutralValue } from './fresh-values.js';
import type { SplitColumn, SplitTableShape } from './split-columns.js';
import { takesAllUploads } from './split-uploads.js';
import { besideSelects, rawSelect, serverSelects } from './server-rows.js';

export interface SplitRows {
  readonly table: string;
  readonly columns: readonly string[];
  /** Queries of disjoint rows. */
  readonly selects: readonly string[];
}

/** Messages and usermessages, which come together, some messages at a time. */
export const [MESSAGES, USERMESSAGES] = ['zerver_message', 'zerver_usermessage'] as const;

/** Tables whose rows of two realms are never the same, since each message is of one realm: they are large, and to look for doubles would sort them. */
const OF_MESSAGES = new Set<string>([MESSAGES, USERMESSAGES, 'zerver_reaction', 'zerver_submessage']);

/** Exported by reference: the bots' rows come whole, with their realm. And the realm once more, its date in whole seconds. */
const ELSEWHERE = new Set(['zerver_userprofile_crossrealm', 'zerver_analytics']);

const USERS = 'zerver_userprofile';
/** OIDs. */
const TIMESTAMPTZ = 1184;
const JSONB = 3802;

/** Lists that a view folds into the rows of another table. */
const FOLDED: Readonly<Record<string, readonly (readonly [column: string, parent: string])[]>> = {
  zerver_attachment_messages: [['attachment_id', 'zerver_attachment'], ['message_id', MESSAGES]],
  zerver_attachment_scheduled_messages: [['attachment_id', 'zerver_attachment'], ['scheduledmessage_id', 'zerver_scheduledmessage']],
};

/** All that a split takes of a table, which may be nothing; messages and usermessages have queries of their own. */
export async function splitRows(client: pg.Client, source: Source, plans: readonly ExportPlan[], shape: SplitTableShape): Promise<SplitRows[]> {
  const selects = [...serverSelects(source, plans, shape), ...(FOLDED[shape.name] === undefined ? [] : [foldedSelect(source, plans, shape)])];
  for (const plan of plans) {
    for (const planned of tablesOf(plan, shape)) selects.push(await viewSelect(client, source, plan, shape, rowsQuery(plan, planned)));
    selects.push(...besideSelects(source, plan, shape, takesAllUploads(plan, source), (name, column) => columnQuery(plan, name, column)));
  }
  if (selects.length === 0) return [];
  const columns = shape.columns.map(({ name }) => name);
  const doubles = selects.length > 1 && !(OF_MESSAGES.has(shape.name) && followsRelease('8', source.version.zerverMigration));
  if (!doubles) return [{ table: shape.name, columns, selects }];
  const keys = (shape.key === undefined ? columns : [shape.key]).map(quote).join(', ');
  return [{ table: shape.name, columns, selects: [`SELECT DISTINCT ON (${keys}) * FROM (${selects.join('\nUNION ALL\n')}) AS every ORDER BY ${keys}`] }];
}

/** Some messages that come next to each other. */
export interface MessageRange {
  /** All before have come. */
  readonly after: number;
  /** Rising. */
  readonly ids: readonly number[];
}

/** Queries of messages and of their usermessages, undefined where the export has none of them. */
export interface MessageQueries {
  /** Of all messages, rising. */
  readonly ids: string;
  readonly messages: (range: MessageRange) => SplitRows;
  readonly usermessages: ((range: MessageRange) => SplitRows) | undefined;
}

/** @param before plans whose messages come before: of servers before Zulip 8 two realms can have the same, of two bots */
export async function messageQueries(client: pg.Client, source: Source, plan: ExportPlan, before: readonly ExportPlan[], shapes: readonly SplitTableShape[]): Promise<MessageQueries> {
  const { compiled, parameters } = plan;
  const others = followsRelease('8', source.version.zerverMigration) ? [] : before;
  const query = async (name: string, rows: (planned: PlannedTable) => string): Promise<MessageQueries['usermessages']> => {
    const shape = shapes.find((each) => each.name === name) as SplitTableShape;
    const planned = plan.tables.find((each) => each.name === name);
    if (planned === undefined) return undefined;
    const columns = shape.columns.map((column) => column.name);
    const select = await viewSelect(client, source, plan, shape, rows(planned));
    const not = name === MESSAGES && others.length > 0 ? " WHERE v.id IN (SELECT unnest(:message_ids))" : '';
    return ({ after, ids }) => ({ table: name, columns, selects: [bindMessageIds(bindRange(select + not, after, ids.at(-1) ?? 0), ids)] });
  };
  const excluded = others.map((other) => `q.id NOT IN (${messageIdsQuery(other.compiled, other.parameters)})`);
  return {
    ids: `SELECT q.id FROM (${messageIdsQuery(compiled, parameters)}) AS q${excluded.length === 0 ? '' : ` WHERE ${excluded.join(' AND ')}`} ORDER BY q.id`,
    messages: await query(MESSAGES, (planned) => messagesQuery(planned, compiled, parameters)) as MessageQueries['messages'],
    usermessages: await query(USERMESSAGES, (planned) => unordered(queryOf(planned, compiled, parameters))),
  };
}

/** Of usermessages there is no range: their messages are named. */
function bindRange(select: string, after: number, until: number): string {
  return select.includes(MESSAGE_RANGE) ? bindMessageRange(select, after, until) : select;
}

function tablesOf(plan: ExportPlan, shape: SplitTableShape): PlannedTable[] {
  return plan.tables.filter(({ name }) => !ELSEWHERE.has(name) && (plan.compiled.tables.get(name) as CompiledView).view.table === shape.name);
}

/** @param rows the view's, with `id`; may hold `:message_ids` */
async function viewSelect(client: pg.Client, source: Source, plan: ExportPlan, shape: SplitTableShape, rows: string): Promise<string> {
  const fields = await describeColumns(client, bindMessageIds(bindRange(rows, 0, 0), []));
  const given = new Map(fields.map(({ name, dataTypeID }) => [name, dataTypeID]));
  const values = shape.columns.map((column) => ({ column: column.name, sql: valueOf(column, shape, source, plan, given) }));
  const list = values.map(({ column, sql }) => `${sql} AS ${quote(column)}`).join(', ');
  // Most views have all columns: their rows are not looked up again.
  const joins = values.some(({ sql }) => /\bt\./.test(sql)) ? ` JOIN ${quote(source.schema)}.${quote(shape.name)} AS t ON t.${quote(shape.key ?? 'id')} = v.id` : '';
  return `SELECT ${list} FROM (${rows}) AS v${joins}`;
}

function valueOf(column: SplitColumn, { name: table }: SplitTableShape, { version }: Source, plan: ExportPlan, given: ReadonlyMap<string, number>): string {
  const { name } = column;
  const { request: { seed, mode }, compiled } = plan;
  if (isSecret(plan, table, name)) return freshValue(table, column, seed, 'v.id');
  const type = given.get(name);
  // Until Zulip 3 an export has dates of users in whole seconds: the row has its own, where that is the one.
  if (type === TIMESTAMPTZ && type === column.typeOid && table === USERS && !followsRelease('4', version.zerverMigration)) return `CASE WHEN v.${quote(name)} = date_trunc('second', t.${quote(name)}) THEN t.${quote(name)} ELSE v.${quote(name)} END`;
  // The view's own value, which may stand in place of one that stays, comes whatever its type; but as JSON has it, such as a date in seconds, no column takes it.
  if (type !== undefined && (type === column.typeOid || type !== JSONB)) return `v.${quote(name)}`;
  // What no view knows of and Zulip does not export either is no secret: a search vector. What a view scrubs, it does not list.
  if (type !== undefined || mode === 'full' || compiled.secrets.get(table)?.has(name) === true) return `t.${quote(name)}`;
  return neutralValue(table, column, seed, 'v.id');
}

/** Of a table that a view exports, but of messages. */
function rowsQuery({ compiled, parameters }: ExportPlan, planned: PlannedTable): string {
  return unordered(queryOf(planned, compiled, parameters));
}

function unordered(query: string): string {
  return query.replace(/ ORDER BY t\.id$/, '');
}

/** What a column of the exported rows holds; undefined where the export has no such table or column. */
function columnQuery(plan: ExportPlan, name: string, column: string): string | undefined {
  const planned = plan.tables.find((each) => each.name === name);
  return planned?.columns.includes(column) === true ? `SELECT p.${quote(column)} FROM (${rowsQuery(plan, planned)}) AS p` : undefined;
}

function foldedSelect(source: Source, plans: readonly ExportPlan[], shape: SplitTableShape): string {
  const conditions = plans.map((plan) => (FOLDED[shape.name] ?? []).map(([column, parent]) => {
    const ids = parent === MESSAGES ? messageIdsQuery(plan.compiled, plan.parameters) : columnQuery(plan, parent, 'id');
    return ids === undefined ? 'false' : `t.${quote(column)} IN (SELECT ids.id FROM (${ids}) AS ids)`;
  }).join(' AND '));
  return rawSelect(source, shape, conditions.map((each) => `(${each})`).join(' OR '), undefined);
}
