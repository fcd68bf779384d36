/**
 * Rows that name something of the export beside something that is gone, where an old database has lost the foreign key, or has it NOT VALID: no view takes
 * them, since whose they are cannot be told, and without a word they would be missed by nobody. The ledger of a full export names them.
 * Databases that have their foreign keys have none, and are not asked.
 */
import { quote, type CompiledRegistry, type CompiledView } from '../../plan/views/compile-view.js';
import { INTEGERS } from '../../plan/views/needed-columns.js';
import type { PlannedTable } from '../../plan/plan-tables.js';
import { TENANT } from '../../plan/views/set-form.js';
import type { Source } from '../../plan/source.js';
import { targetOf, type Target } from '../../verify/references.js';
import { keyOfColumn } from './dangling-references.js';

/** The usermessages of messages and people that are gone are nobody's loss; clients and realms have no owner; names of groups are told in baseless_group. */
const NOT_ASKED = new Set(['zerver_usermessage', 'zerver_message', 'zerver_client', 'zerver_realm', 'zerver_userprofile', 'zerver_userprofile_mirrordummy', 'zerver_userprofile_crossrealm', 'zerver_namedusergroup']);

const MESSAGE_IDS = 'exported_message_id';

/** What is the realm's. */
const OWN: Partial<Record<Target, { readonly from: string; readonly selection?: string }>> = {
  realm: { from: 'zerver_realm' },
  user: { from: 'exported_user', selection: 'exported_user' },
  recipient: { from: 'exported_recipient', selection: 'exported_recipient' },
  stream: { from: 'zerver_stream' },
  group: { from: 'zerver_usergroup' },
  namedGroup: { from: 'zerver_usergroup' },
  profileField: { from: 'zerver_customprofilefield' },
};

/** The plan's views with such as name these rows. @param set the plan is of many realms */
export function withAstrayRows(compiled: CompiledRegistry, tables: readonly PlannedTable[], source: Source, set: boolean): CompiledRegistry {
  return { ...compiled, ledger: [...compiled.ledger, ...tables.flatMap((table) => astrayOf(table, compiled, source, set) ?? [])] };
}

function astrayOf(table: PlannedTable, compiled: CompiledRegistry, { catalog, registry }: Source, set: boolean): CompiledView | undefined {
  const view = compiled.tables.get(table.name) as CompiledView;
  const live = catalog.get(view.view.table)?.columns;
  if (NOT_ASKED.has(table.name) || live === undefined) return undefined;
  const known = registry.known.get(view.view.table);
  const unbound = table.columns.flatMap((column) => {
    const referred = known?.get(column);
    const { enforced = false, nullable = true, type = 0 } = live.get(column) ?? {};
    // Of another release, the column may be something else.
    if (referred === undefined || nullable || enforced || !INTEGERS.has(type)) return [];
    const at = ['id', 'usergroup_ptr_id'].find((key) => catalog.get(referred)?.columns.has(key));
    return at === undefined ? [] : [`NOT EXISTS (SELECT FROM ${quote(referred)} p WHERE p.${at} = t.${quote(column)})`];
  });
  const owners = table.columns.flatMap((column) => {
    const own = OWN[targetOf(table.name, keyOfColumn(table, column)) ?? 'message'];
    return own === undefined || !INTEGERS.has(live.get(column)?.type ?? 0) ? [] : [{ column, ...own }];
  });
  if (unbound.length === 0 || owners.length === 0) return undefined;
  const tenant = set ? 'o.tenant, ' : '';
  // Which messages were copied is not known here.
  const travelling = view.sql.replace(/\bANY ?\(:message_ids\)/, `ANY (SELECT e.id FROM ${MESSAGE_IDS} e)`);
  // OFFSET 0: such rows are few or none, and only for them is asked which travel.
  const branches = owners.map(({ column, from, selection }) => `SELECT ${tenant}o.id FROM (
SELECT ${tenant}t.id FROM ${quote(view.view.table)} t JOIN (${ownRows(from, selection, set)}) o ON o.id = t.${quote(column)}
WHERE ${unbound.join(' OR ')} OFFSET 0) AS o
WHERE (${tenant}o.id) NOT IN (SELECT ${set ? `x.${TENANT}, ` : ''}x.id FROM (\n${travelling}\n) AS x)`);
  const name = `astray_${table.name}`;
  return {
    name, rule: '', leftOut: [], columns: [...(set ? [TENANT] : []), 'id'], tables: [view.view.table], sql: branches.join('\nUNION\n'),
    reads: [...new Set([...view.reads, ...(travelling === view.sql ? [] : [MESSAGE_IDS]), ...owners.flatMap(({ selection }) => selection ?? [])])],
    view: { ...view.view, name, dataClass: 'ledger', loss: { dataClass: table.dataClass, reason: `${table.name}: the row names something of the realm beside something that is gone` } },
  };
}

function ownRows(from: string, selection: string | undefined, set: boolean): string {
  if (selection !== undefined) return `SELECT ${set ? `s.${TENANT}, ` : ''}s.id FROM ${from} s`;
  const realm = from === 'zerver_realm' ? 's.id' : 's.realm_id';
  return `SELECT ${set ? `${realm} AS ${TENANT}, ` : ''}s.id FROM ${from} s WHERE ${realm} ${set ? '= ANY (:realm_ids)' : '= :realm_id'}`;
}
