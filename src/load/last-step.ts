/**
 * The last transaction of a load: what can only be known when all rows are there, what an import writes down of itself, and the realm's
 * own deactivated, which until now hid it.
 */
import type pg from 'pg';
import type { LoadJournal } from './server/load-journal.js';
import { hasColumn, type TargetTables } from './server/target-tables.js';
import type { RealmState } from './source/realm-state.js';

/** AuditLogEventType of zerver/models/realm_audit_logs.py */
const [AVATAR_SOURCE_CHANGED, PLAN_TYPE_CHANGED, REALM_CREATED, REALM_IMPORTED] = [123, 204, 215, 229];
/** A channel whose last message is older counts as quiet (Stream.LAST_ACTIVITY_DAYS_BEFORE_FOR_ACTIVE). */
const RECENT = '180 days';
/** Realm.SELF_HOSTED */
const SELF_HOSTED = 1;
/** UserProfile.ROLE_TYPES: all are counted, those that nobody has too. */
const ROLES = [100, 200, 300, 400, 600];

/** In the transaction of the caller, whose search path finds Zulip's tables. */
export async function finishRealm(client: pg.Client, realm: RealmState, journal: Pick<LoadJournal, 'notes'>, tables: TargetTables): Promise<void> {
  const has = (table: string, column: string): boolean => hasColumn(tables, table, column);
  await finishChannels(client, realm, has);
  if (has('zerver_subscription', 'is_user_active')) {
    await client.query(`
      UPDATE zerver_subscription s SET is_user_active = u.is_active FROM zerver_userprofile u
      WHERE u.id = s.user_profile_id AND u.realm_id = $1 AND s.is_user_active <> u.is_active`, [realm.id]);
  }
  const animated = await journal.notes(client, 'animated');
  if (has('zerver_realmemoji', 'is_animated')) await client.query('UPDATE zerver_realmemoji SET is_animated = true WHERE id = ANY ($1) AND NOT is_animated', [animated]);
  if (has('zerver_realmauditlog', 'extra_data')) await writeAuditLog(client, realm, journal);
  const deletion = realm.scheduledDeletion === undefined ? '' : ', scheduled_deletion_date = $3::timestamptz';
  await client.query(`UPDATE zerver_realm SET deactivated = $2${deletion} WHERE id = $1`, [realm.id, realm.deactivated, ...(realm.scheduledDeletion === undefined ? [] : [realm.scheduledDeletion])]);
}

async function finishChannels(client: pg.Client, { id, deactivated }: RealmState, has: (table: string, column: string) => boolean): Promise<void> {
  // Where messages say themselves of which realm they are, the index of its recipients answers.
  const ofRealm = has('zerver_message', 'realm_id') ? 'm.realm_id = $1 AND' : '';
  if (has('zerver_stream', 'first_message_id')) {
    await client.query(`
      UPDATE zerver_stream s SET first_message_id = first.id
      FROM (SELECT r.type_id AS stream, (SELECT min(m.id) FROM zerver_message m WHERE ${ofRealm} m.recipient_id = r.id) AS id
            FROM zerver_recipient r JOIN zerver_stream o ON o.id = r.type_id WHERE r.type = 2 AND o.realm_id = $1) AS first
      WHERE s.id = first.stream AND s.realm_id = $1 AND first.id IS NOT NULL AND s.first_message_id IS DISTINCT FROM first.id`, [id]);
  }
  if (has('zerver_stream', 'is_recently_active') && !deactivated) {
    await client.query(`
      UPDATE zerver_stream s SET is_recently_active = false WHERE s.realm_id = $1 AND s.is_recently_active AND NOT EXISTS (
        SELECT FROM zerver_message m JOIN zerver_recipient r ON r.id = m.recipient_id WHERE ${ofRealm} r.type = 2 AND r.type_id = s.id AND m.date_sent > now() - interval '${RECENT}')`, [id]);
  }
}

/** Billing and the push service count by the entry of the import. */
async function writeAuditLog(client: pg.Client, realm: RealmState, journal: Pick<LoadJournal, 'notes'>): Promise<void> {
  const write = async (event: number, data: string, more = { column: '', value: '' }): Promise<void> => {
    await client.query(`
      INSERT INTO zerver_realmauditlog (realm_id, event_type, event_time, backfilled, extra_data${more.column}) SELECT $1, $2, clock_timestamp(), false, ${data}${more.value}`, [realm.id, event]);
  };
  await client.query(`
    INSERT INTO zerver_realmauditlog (realm_id, event_type, event_time, backfilled, extra_data)
    SELECT id, $2, date_created, true, '{}' FROM zerver_realm WHERE id = $1 AND NOT EXISTS (SELECT FROM zerver_realmauditlog WHERE realm_id = $1 AND event_type = $2)`, [realm.id, REALM_CREATED]);
  for (const user of await journal.notes(client, 'broken avatar')) {
    await client.query("UPDATE zerver_userprofile SET avatar_source = 'G', avatar_version = avatar_version + 1 WHERE id = $1", [user]);
    await write(AVATAR_SOURCE_CHANGED, `'{"avatar_source": "G"}'`, { column: ', modified_user_id', value: `, ${user}` });
  }
  await write(PLAN_TYPE_CHANGED, `'{"old_value": ${realm.planType}, "new_value": ${SELF_HOSTED}}'`);
  const humans = ROLES.map((role) => `'${role}', count(*) FILTER (WHERE role = ${role} AND NOT is_bot)`).join(', ');
  await write(REALM_IMPORTED, `(SELECT jsonb_build_object('10', jsonb_build_object('11', jsonb_build_object(${humans}), '12', count(*) FILTER (WHERE is_bot))) FROM zerver_userprofile WHERE realm_id = $1 AND is_active)`);
}
