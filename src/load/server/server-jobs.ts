/**
 * What a Zulip server writes to a realm that nobody uses. Its jobs by name: puppet/zulip/manifests/app_frontend_once.pp.
 *
 * Two jobs say more than the export does, and are taken for use: archive_messages deletes by the rules of retention, and scheduled messages
 * are sent when they are due.
 */
import { hasColumn, type TargetTables } from './target-tables.js';

/** Columns that workers and jobs fill by themselves; a change of these alone is no use. */
export const OF_THE_SERVER: Readonly<Record<string, readonly string[]>> = {
  zerver_imageattachment: ['thumbnail_metadata'],
  zerver_message: ['search_tsvector', 'search_pgroonga'],
  // Each hour the push service says whether it serves the realm. And deactivate_realm keeps people out.
  zerver_realm: ['deactivated', 'scheduled_deletion_date', 'first_visible_message_id', 'push_notifications_enabled', 'push_notifications_enabled_end_timestamp'],
  zerver_stream: ['is_recently_active'],
  // soft_deactivate_users
  zerver_userprofile: ['last_active_message_id', 'long_term_idle'],
};

const FULL_MEMBERS = "SELECT g.usergroup_ptr_id FROM zerver_namedusergroup g WHERE g.is_system_group AND g.name = 'role:fullmembers'";

/** AuditLogEventType of zerver/models/realm_audit_logs.py */
const [SOFT_DEACTIVATED, DIGEST_CREATED, REALM_DEACTIVATED, REALM_REACTIVATED, PROPERTY_CHANGED, MEMBER_ADDED] = [121, 133, 201, 202, 207, 703];

interface JobRows {
  /** What the condition asks. */
  readonly needs: readonly (readonly [table: string, column: string])[];
  readonly condition: string;
}

const ROWS: Readonly<Record<string, JobRows>> = {
  zerver_realmauditlog: {
    needs: [['zerver_realmauditlog', 'extra_data'], ['zerver_realmauditlog', 'modified_user_group_id'], ['zerver_namedusergroup', 'is_system_group']],
    condition: `t.acting_user_id IS NULL AND (
      t.event_type IN (${SOFT_DEACTIVATED}, ${DIGEST_CREATED}, ${REALM_DEACTIVATED}, ${REALM_REACTIVATED})
      OR t.event_type = ${PROPERTY_CHANGED} AND t.extra_data ->> 'property' = 'push_notifications_enabled' OR t.event_type = ${MEMBER_ADDED} AND t.modified_user_group_id IN (${FULL_MEMBERS}))`,
  },
  // promote_new_full_members
  zerver_usergroupmembership: { needs: [['zerver_namedusergroup', 'is_system_group']], condition: `t.user_group_id IN (${FULL_MEMBERS})` },
  // soft_deactivate_users also gives whoever is idle what was sent to their channels since they are.
  zerver_usermessage: { needs: [['zerver_userprofile', 'long_term_idle']], condition: 't.flags = 0 AND t.user_profile_id IN (SELECT u.id FROM zerver_userprofile u WHERE u.long_term_idle)' },
};

/** SQL over `t`: a row that a job would add. Of a table to which none adds any it is `false`. */
export function jobRows(table: string, tables: TargetTables): string {
  const rows = ROWS[table];
  return rows?.needs.every(([needed, column]) => hasColumn(tables, needed, column)) === true ? `(${rows.condition})` : 'false';
}

/** Of these a server adds rows by itself, every hour. */
export function isCounting(table: string): boolean {
  return table.startsWith('analytics_');
}
