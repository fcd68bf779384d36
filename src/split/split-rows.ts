/**
 * Which rows of which tables a split takes, as queries.
 *
 * The rows of an exported table are those that its views select for each realm. A column has the view's value where that is one of the
 * table's own type: a scrubbed user stays scrubbed; where the view writes it for JSON alone, the row's own. Beside them a server needs its system
 * realm with its bots, and Django's bookkeeping.
 */
import type pg from 'pg';
import { quote, type CompiledView } from '../plan/compile-view.js';
import type { ExportPlan } from '../plan/plan-export.js';
import { bindMessageRange } from '../plan/parameters.js';
import { messageIdsQuery, messagesQuery, queryOf, type PlannedTable } from '../plan/plan-tables.js';
import type { Source } from '../plan/source.js';
import { freshValue, neutralValue } from './fresh-values.js';
import type { SplitColumn, SplitTableShape } from './split-columns.js';

export interface SplitRows {
  readonly table: string;
  readonly columns: readonly string[];
  readonly select: string;
}

/** Django's tables that `manage.py migrate` reads, and that belong to nobody. */
const BOOKKEEPING = new Set(['django_migrations', 'django_content_type', 'auth_permission']);

/** Lists that a view folds into the rows of another table. */
const FOLDED: Readonly<Record<string, readonly (readonly [column: string, parent: string])[]>> = {
  zerver_attachment_messages: [['attachment_id', 'zerver_attachment'], ['message_id', 'zerver_message']],
  zerver_attachment_scheduled_messages: [['attachment_id', 'zerver_attachment'], ['scheduledmessage_id', 'zerver_scheduledmessage']],
};

const MOST = Number.MAX_SAFE_INTEGER;

/** By reference: the bots' rows come whole, as those of the system realm. */
const BY_REFERENCE = 'zerver_userprofile_crossrealm';

export async function splitRows(client: pg.Client, source: Source, plans: readonly ExportPlan[], system: ExportPlan, shapes: readonly SplitTableShape[]): Promise<SplitRows[]> {
  const out: SplitRows[] = [];
  for (const shape of shapes) {
    const selects = [
      ...(await viewSelects(client, source, [...plans, system], shape)),
      ...systemSelects(source, system, shape),
      ...plans.flatMap((plan) => besideSelects(source, plan, shape)),
      ...(BOOKKEEPING.has(shape.name) ? [rawSelect(source, shape, 'true', undefined)] : []),
      ...(FOLDED[shape.name] === undefined ? [] : [foldedSelect(source, [...plans, system], shape)]),
    ];
    if (selects.length === 0) continue;
    const columns = shape.columns.map(({ name }) => name);
    const rows = selects.join('\nUNION ALL\n');
    const once = selects.length === 1 || shape.key === undefined ? rows : `SELECT DISTINCT ON (${quote(shape.key)}) * FROM (${rows}) AS every ORDER BY ${quote(shape.key)}`;
    out.push({ table: shape.name, columns, select: once });
  }
  return out;
}

async function viewSelects(client: pg.Client, source: Source, plans: readonly ExportPlan[], shape: SplitTableShape): Promise<string[]> {
  const out: string[] = [];
  for (const plan of plans) {
    for (const planned of plan.tables) {
      const compiled = plan.compiled.tables.get(planned.name) as CompiledView;
      if (compiled.view.table !== shape.name || planned.name === BY_REFERENCE || shape.key === undefined) continue;
      const query = rowsQuery(plan, planned);
      const { fields } = await client.query(`SELECT * FROM (${query}) AS described LIMIT 0`);
      const given = new Map(fields.map(({ name, dataTypeID }) => [name, dataTypeID]));
      const values = shape.columns.map((column) => `${valueOf(column, shape, plan, given)} AS ${quote(column.name)}`);
      out.push(`SELECT ${values.join(', ')} FROM (${query}) AS v JOIN ${quote(source.schema)}.${quote(shape.name)} AS t ON t.${quote(shape.key)} = v.id`);
    }
  }
  return out;
}

function valueOf(column: SplitColumn, { name: table }: SplitTableShape, plan: ExportPlan, given: ReadonlyMap<string, number>): string {
  const { name } = column;
  if (isSecret(plan, table, name)) return freshValue(table, column, plan.request.seed, 't.id');
  const type = given.get(name);
  if (type === column.typeOid) return `v.${quote(name)}`;
  // What no view knows of and Zulip does not export either is no secret: a search vector. What a view scrubs, it does not list.
  if (type !== undefined || plan.request.mode === 'full' || plan.compiled.secrets.get(table)?.has(name) === true) return `t.${quote(name)}`;
  return neutralValue(table, column, plan.request.seed, 't.id');
}

/** Secrets, and what identifies a user to other servers. */
function isSecret(plan: ExportPlan, table: string, column: string): boolean {
  return plan.compiled.secrets.get(table)?.has(column) === true && !HARMLESS.has(column);
}

/** What an export leaves out because the new server makes it, and nobody's secret. */
const HARMLESS = new Set(['search_tsvector']);

function rowsQuery(plan: ExportPlan, planned: PlannedTable): string {
  const { compiled, parameters } = plan;
  if (planned.name === 'zerver_message') return bindMessageRange(messagesQuery(planned, compiled, parameters), 0, MOST).replace(/ ORDER BY t\.id NULLS FIRST$/, '');
  const query = queryOf(planned, compiled, parameters).replace(/ ORDER BY t\.id$/, '');
  if (planned.name !== 'zerver_usermessage') return query;
  return query.replace('unnest(:message_ids)', `ids.id FROM (${messageIdsQuery(compiled, parameters)}) AS ids`);
}

/** The system realm's users, who are in no export but by reference, with what makes them receive messages. */
function systemSelects(source: Source, system: ExportPlan, shape: SplitTableShape): string[] {
  const { schema } = source;
  const users = `(SELECT u.id FROM ${quote(schema)}.zerver_userprofile u WHERE u.realm_id = ${system.request.realm.id}${source.systemBots.length === 0 ? '' : ` OR u.id IN (${source.systemBots.map(({ id }) => id).join(', ')})`})`;
  const of = (condition: string): string[] => [rawSelect(source, shape, condition, system)];
  switch (shape.name) {
    case 'zerver_userprofile': return of(`t.id IN ${users}`);
    case 'zerver_recipient': return of(`t.type = 1 AND t.type_id IN ${users}`);
    case 'zerver_usergroupmembership': return of(`t.user_profile_id IN ${users}`);
    case 'zerver_subscription': return of(`t.user_profile_id IN ${users} AND t.recipient_id IN (SELECT r.id FROM ${quote(schema)}.zerver_recipient r WHERE r.type = 1 AND r.type_id IN ${users})`);
    default: return [];
  }
}

/** What an export does without, and a server does not: everybody's own recipient, and which uploads are images. */
function besideSelects(source: Source, plan: ExportPlan, shape: SplitTableShape): string[] {
  const idsOf = (name: string, column: string): string[] => {
    const planned = plan.tables.find((each) => each.name === name);
    return planned === undefined || !planned.columns.includes(column) ? [] : [`SELECT p.${column} FROM (${rowsQuery(plan, planned)}) AS p`];
  };
  switch (shape.name) {
    case 'zerver_recipient': {
      const users = ['zerver_userprofile', 'zerver_userprofile_mirrordummy'].flatMap((name) => idsOf(name, 'id'));
      return [rawSelect(source, shape, `t.type = 1 AND t.type_id IN (${users.join(' UNION ALL ')})`, undefined)];
    }
    case 'zerver_imageattachment': {
      const images = rawSelect(source, shape, `t.path_id IN (${idsOf('zerver_attachment', 'path_id').join('')})`, undefined);
      // The new server makes thumbnails again, for it has none.
      return [images.replace('t."thumbnail_metadata"', `'[]'::jsonb AS "thumbnail_metadata"`)];
    }
    default: return [];
  }
}

function rawSelect({ schema }: Source, { name, columns }: SplitTableShape, condition: string, plan: ExportPlan | undefined): string {
  const values = columns.map((column) => (plan !== undefined && isSecret(plan, name, column.name) ? `${freshValue(name, column, plan.request.seed, 't.id')} AS ${quote(column.name)}` : `t.${quote(column.name)}`));
  return `SELECT ${values.join(', ')} FROM ${quote(schema)}.${quote(name)} AS t WHERE ${condition}`;
}

function foldedSelect(source: Source, plans: readonly ExportPlan[], shape: SplitTableShape): string {
  const conditions = plans.map((plan) => (FOLDED[shape.name] ?? []).map(([column, parent]) => {
    const planned = plan.tables.find(({ name }) => name === parent);
    if (parent === 'zerver_message') return `t.${column} IN (SELECT ids.id FROM (${messageIdsQuery(plan.compiled, plan.parameters)}) AS ids)`;
    return planned === undefined ? 'false' : `t.${column} IN (SELECT p.id FROM (${rowsQuery(plan, planned)}) AS p)`;
  }).join(' AND '));
  return rawSelect(source, shape, conditions.map((each) => `(${each})`).join(' OR '), undefined);
}

