/**
 * What a server needs to run beside the rows of an export: the realm of the system bots with these bots and the groups that its settings
 * name, and nobody and nothing else of it; Django's bookkeeping; how far the statistics are counted; and what an export does
 * without since an import makes it anew.
 */
import { quote } from '../plan/views/compile-view.js';
import type { ExportPlan } from '../plan/plan-export.js';
import { SYSTEM_REALM } from '../plan/realm.js';
import type { Source } from '../plan/source.js';
import { freshValue, isSecret } from './fresh-values.js';
import type { SplitTableShape } from './split-columns.js';

/**
 * Nobody's rows: what `manage.py migrate` reads, and until when statistics are counted. Without the latter Zulip would count from the realm's
 * first day on again, and stop at the rows that are there (analytics/lib/counts.py).
 */
const BOOKKEEPING = new Set(['django_migrations', 'django_content_type', 'auth_permission', 'analytics_fillstate']);

/** Settings of a realm that it has one row of. */
const ONE_A_REALM = new Set(['zerver_realmuserdefault', 'zerver_presencesequence', 'zerver_realmauthenticationmethod']);

/** Queries of the rows of a table that belong to the server, and to no exported realm. */
export function serverSelects(source: Source, [plan]: readonly ExportPlan[], shape: SplitTableShape): string[] {
  const { catalog, systemBots } = source;
  const name = (table: string): string => `${quote(source.schema)}.${quote(table)}`;
  const of = (condition: string): string[] => [rawSelect(source, shape, condition, plan)];
  const realm = `(SELECT r.id FROM ${name('zerver_realm')} r WHERE r.string_id = '${SYSTEM_REALM}')`;
  const bots = `(SELECT u.id FROM ${name('zerver_userprofile')} u WHERE u.realm_id = ${realm} AND u.is_bot${systemBots.length === 0 ? '' : ` OR u.id IN (${systemBots.map(({ id }) => id).join(', ')})`})`;
  const groups = `(SELECT g.id FROM ${name('zerver_usergroup')} g WHERE g.realm_id = ${realm} AND ${systemGroups(catalog, name)})`;
  const own = `(SELECT o.id FROM ${name('zerver_recipient')} o WHERE o.type = 1 AND o.type_id IN ${bots})`;
  if (BOOKKEEPING.has(shape.name)) return of('true');
  if (ONE_A_REALM.has(shape.name)) return of(`t.realm_id = ${realm}`);
  switch (shape.name) {
    case 'zerver_realm': return of(`t.id = ${realm}`);
    case 'zerver_userprofile': return of(`t.id IN ${bots}`);
    case 'zerver_recipient': return of(`t.id IN ${own}`);
    case 'zerver_subscription': return of(`t.user_profile_id IN ${bots} AND t.recipient_id IN ${own}`);
    case 'zerver_usergroup': return of(`t.id IN ${groups}`);
    case 'zerver_namedusergroup': return of(`t.usergroup_ptr_id IN ${groups}`);
    case 'zerver_groupgroupmembership': return of(`t.supergroup_id IN ${groups} AND t.subgroup_id IN ${groups}`);
    case 'zerver_usergroupmembership': return of(`t.user_profile_id IN ${bots} AND t.user_group_id IN ${groups}`);
    default: return [];
  }
}

/** Groups that a server makes for each realm (since Zulip 5), and those without a name that settings are made of. */
function systemGroups(catalog: Source['catalog'], name: (table: string) => string): string {
  if (catalog.has('zerver_namedusergroup')) return `NOT EXISTS (SELECT FROM ${name('zerver_namedusergroup')} n WHERE n.usergroup_ptr_id = g.id AND NOT n.is_system_group)`;
  return catalog.get('zerver_usergroup')?.columns.has('is_system_group') === true ? 'g.is_system_group' : 'false';
}

/** What the exported realm has beside its export: the recipients of all that the export has, and which uploads are images. @param allUploads also those that no message names */
export function besideSelects(source: Source, plan: ExportPlan, shape: SplitTableShape, allUploads: boolean, valuesOf: (table: string, column: string) => string | undefined): string[] {
  const all = (column: string, ...tables: readonly string[]): string => tables.flatMap((table) => valuesOf(table, column) ?? []).join(' UNION ALL ');
  switch (shape.name) {
    case 'zerver_recipient': {
      const kinds = [[1, all('id', 'zerver_userprofile', 'zerver_userprofile_mirrordummy')], [2, all('id', 'zerver_stream')], [3, all('id', 'zerver_huddle')]] as const;
      return kinds.filter(([, ids]) => ids !== '').map(([type, ids]) => rawSelect(source, shape, `t.type = ${type} AND t.type_id IN (${ids})`, plan));
    }
    case 'zerver_attachment': return allUploads ? [rawSelect(source, shape, `t.realm_id = ${plan.request.realm.id} AND t.id <> ALL ('{${plan.parameters.missing_attachment_ids.join(',')}}'::bigint[])`, plan)] : [];
    case 'zerver_imageattachment': {
      const images = rawSelect(source, shape, `t.path_id IN (${all('path_id', 'zerver_attachment')})`, plan);
      // The new server makes thumbnails again, for it has none.
      return [images.replace('t."thumbnail_metadata"', `'[]'::jsonb AS "thumbnail_metadata"`)];
    }
    default: return [];
  }
}

/** @param plan says what is secret; undefined where nothing can be */
export function rawSelect({ schema }: Source, { name, columns, key }: SplitTableShape, condition: string, plan: ExportPlan | undefined): string {
  const values = columns.map((column) => (plan !== undefined && isSecret(plan, name, column.name) ? `${freshValue(name, column, plan.request.seed, `t.${quote(key ?? 'id')}`)} AS ${quote(column.name)}` : `t.${quote(column.name)}`));
  return `SELECT ${values.join(', ')} FROM ${quote(schema)}.${quote(name)} AS t WHERE ${condition}`;
}
