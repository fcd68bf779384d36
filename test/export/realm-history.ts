/** What may happen to a realm between two exports, at random: statements of people, of Zulip's own jobs and of a DBA. */

/** A number from 0 to `below`, less one. */
export type Random = (below: number) => number;

/** Repeatable random numbers (mulberry32). */
export function randomFrom(seed: number): Random {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor(((t ^ (t >>> 14)) >>> 0) / 4294967296 * below);
  };
}

/** Any of them; there must be one. */
export const one = <T>(of: readonly T[], random: Random): T => of[random(of.length)] as T;

/** Deletes messages as Zulip does: what refers to one goes, or forgets it. To be run once. */
export const HISTORY_FUNCTIONS = `
  CREATE SCHEMA history;
  CREATE FUNCTION history.delete_messages(gone bigint[]) RETURNS void LANGUAGE plpgsql AS $$
  DECLARE reference record;
  BEGIN
    FOR reference IN SELECT k.conrelid::regclass AS child, a.attname, a.attnotnull FROM pg_constraint k JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[1]
                     WHERE k.contype = 'f' AND k.confrelid = 'zulip.zerver_message'::regclass LOOP
      IF reference.attnotnull THEN EXECUTE format('DELETE FROM %s WHERE %I = ANY ($1)', reference.child, reference.attname) USING gone;
      ELSE EXECUTE format('UPDATE %s SET %I = NULL WHERE %I = ANY ($1)', reference.child, reference.attname, reference.attname) USING gone;
      END IF;
    END LOOP;
    DELETE FROM zulip.zerver_message WHERE id = ANY (gone);
  END $$`;

const REALM = "(SELECT id FROM zerver_realm WHERE string_id = 'acme')";
const USERS = `(SELECT id FROM zerver_userprofile WHERE realm_id = ${REALM})`;
/** Until Zulip 8 a message's realm is its sender's. */
const MESSAGES = `(SELECT id FROM zerver_message WHERE sender_id IN ${USERS})`;

/** A few ids, chosen by a number so that the statement says which: md5 strews them. */
const some = (ids: string, random: Random, most: number): string => `(SELECT q.id FROM ${ids} AS q ORDER BY md5(q.id || '${random(1e9)}') LIMIT ${1 + random(most)})`;

/** Statements that each are a transaction. */
export type Happening = (random: Random) => readonly string[];

const newMessages = (random: Random, where = ''): string => `
  WITH made AS (
    INSERT INTO zerver_message SELECT r.* FROM
      (SELECT m, (SELECT max(id) FROM zerver_message) + row_number() OVER (ORDER BY m.id) AS id FROM zerver_message m WHERE m.id IN ${some(MESSAGES, random, 300)}) AS old,
      LATERAL jsonb_populate_record(old.m, jsonb_build_object('id', old.id, 'content', 'made anew ${random(1e9)}'${where})) AS r RETURNING id, recipient_id)
  INSERT INTO zerver_usermessage (id, flags, message_id, user_profile_id)
  SELECT (SELECT max(id) FROM zerver_usermessage) + row_number() OVER (ORDER BY made.id, s.user_profile_id), 0, made.id, s.user_profile_id
  FROM made JOIN zerver_subscription s ON s.recipient_id = made.recipient_id AND s.active`;

export const HAPPENINGS: Readonly<Record<string, Happening>> = {
  'nothing': () => ['SELECT 1'],
  'messages written': (random) => [newMessages(random)],
  'messages edited': (random) => [`UPDATE zerver_message SET content = content || ' edited ${random(1e9)}', last_edit_time = now() WHERE id IN ${some(MESSAGES, random, 5)}`],
  'a topic moved': (random) => [`UPDATE zerver_message SET subject = 'moved ${random(1e9)}' WHERE id IN ${some(MESSAGES, random, 20)}`],
  'messages moved to another channel': (random) => [`
    UPDATE zerver_message SET recipient_id = (SELECT r.id FROM zerver_recipient r JOIN zerver_stream s ON s.id = r.type_id AND r.type = 2 WHERE s.realm_id = ${REALM} ORDER BY md5(r.id || '${random(1e9)}') LIMIT 1)
    WHERE id IN ${some(MESSAGES, random, 20)}`],
  'messages deleted': (random) => [`SELECT history.delete_messages(ARRAY${some(MESSAGES, random, 3)})`],
  'the youngest messages deleted': (random) => [`SELECT history.delete_messages(ARRAY(SELECT id FROM zerver_message WHERE id IN ${MESSAGES} ORDER BY id DESC LIMIT ${1 + random(30)}))`],
  'the oldest messages deleted': (random) => [`SELECT history.delete_messages(ARRAY(SELECT id FROM zerver_message WHERE id IN ${MESSAGES} ORDER BY id LIMIT ${random(2) === 0 ? 1000 : 1 + random(9)}))`],
  'flags set': (random) => [`UPDATE zerver_usermessage SET flags = flags | ${1 << random(11)} WHERE id IN ${some(`(SELECT id FROM zerver_usermessage WHERE user_profile_id IN ${USERS})`, random, 9)}`],
  'everything read by somebody': (random) => [`UPDATE zerver_usermessage SET flags = flags | 1 WHERE user_profile_id IN ${some(USERS, random, 1)} AND flags % 2 = 0`],
  'usermessages gone': (random) => [`DELETE FROM zerver_usermessage WHERE id IN ${some(`(SELECT id FROM zerver_usermessage WHERE user_profile_id IN ${USERS})`, random, 3)}`],
  'one usermessage in place of another': (random) => [`
    WITH gone AS (DELETE FROM zerver_usermessage WHERE id IN ${some(`(SELECT id FROM zerver_usermessage WHERE user_profile_id IN ${USERS})`, random, 2)} RETURNING *)
    INSERT INTO zerver_usermessage (id, flags, message_id, user_profile_id)
    SELECT gone.id, gone.flags, gone.message_id, (SELECT u.id FROM zerver_userprofile u WHERE u.realm_id = ${REALM} AND NOT EXISTS (SELECT FROM zerver_usermessage o WHERE o.message_id = gone.message_id AND o.user_profile_id = u.id) LIMIT 1)
    FROM gone WHERE EXISTS (SELECT FROM zerver_userprofile u WHERE u.realm_id = ${REALM} AND NOT EXISTS (SELECT FROM zerver_usermessage o WHERE o.message_id = gone.message_id AND o.user_profile_id = u.id))`],
  'a member who reads old messages': (random) => [`
    WITH who AS (
      INSERT INTO zerver_userprofile SELECT r.* FROM (SELECT u, (SELECT max(id) + 1 FROM zerver_userprofile) AS id FROM zerver_userprofile u WHERE u.id IN ${some(`(SELECT id FROM zerver_userprofile WHERE realm_id = ${REALM} AND NOT is_bot)`, random, 1)} LIMIT 1) AS old,
        LATERAL jsonb_populate_record(old.u, jsonb_build_object('id', old.id, 'email', 'new' || old.id || '@example.com', 'delivery_email', 'new' || old.id || '@example.com', 'api_key', left(md5(old.id::text), 32),
                                      'uuid', gen_random_uuid(), 'recipient_id', NULL, 'is_mirror_dummy', false)) AS r RETURNING id)
    INSERT INTO zerver_usermessage (id, flags, message_id, user_profile_id)
    SELECT (SELECT max(id) FROM zerver_usermessage) + row_number() OVER (ORDER BY m.id), 1024, m.id, who.id FROM who, zerver_message m WHERE m.id IN ${some(MESSAGES, random, 20)}`],
  'somebody becomes a mirror dummy, or no more': (random) => [`UPDATE zerver_userprofile SET is_mirror_dummy = NOT is_mirror_dummy, is_active = is_mirror_dummy WHERE id IN ${some(USERS, random, 1)} AND NOT is_bot AND role > 200`],
  'settings and profiles changed': (random) => [
    `UPDATE zerver_realm SET description = 'described ${random(1e9)}' WHERE id = ${REALM}`,
    `UPDATE zerver_userprofile SET full_name = 'name ${random(1e9)}' WHERE id IN ${some(USERS, random, 3)}`,
  ],
  'a channel with messages': (random) => [`
    WITH channel AS (INSERT INTO zerver_stream SELECT r.* FROM (SELECT s, (SELECT max(id) + 1 FROM zerver_stream) AS id, (SELECT max(id) + 1 FROM zerver_recipient) AS recipient FROM zerver_stream s WHERE realm_id = ${REALM} ORDER BY id LIMIT 1) AS old,
      LATERAL jsonb_populate_record(old.s, jsonb_build_object('id', old.id, 'name', 'channel ' || old.id, 'email_token', md5('channel ' || old.id), 'recipient_id', NULL, 'invite_only', ${random(2) === 0})) AS r RETURNING id)
    INSERT INTO zerver_recipient (id, type, type_id) SELECT (SELECT max(id) + 1 FROM zerver_recipient), 2, id FROM channel`,
  `UPDATE zerver_stream s SET recipient_id = r.id FROM zerver_recipient r WHERE r.type = 2 AND r.type_id = s.id AND s.recipient_id IS NULL`,
  newMessages(random, ", 'recipient_id', (SELECT recipient_id FROM zerver_stream ORDER BY id DESC LIMIT 1)")],
  'a channel closed or opened': (random) => [`UPDATE zerver_stream SET invite_only = NOT invite_only WHERE id IN ${some(`(SELECT id FROM zerver_stream WHERE realm_id = ${REALM})`, random, 1)}`],
  'somebody subscribes, or leaves': (random) => [`UPDATE zerver_subscription SET active = NOT active WHERE id IN ${some(`(SELECT id FROM zerver_subscription WHERE user_profile_id IN ${USERS})`, random, 3)}`],
  'a subscription gone, or another in its place': (random) => [random(2) === 0
    ? `DELETE FROM zerver_subscription WHERE id IN ${some(`(SELECT id FROM zerver_subscription WHERE user_profile_id IN ${USERS} AND recipient_id IN (SELECT id FROM zerver_recipient WHERE type = 2))`, random, 1)}`
    : `WITH gone AS (DELETE FROM zerver_subscription WHERE id IN ${some(`(SELECT id FROM zerver_subscription WHERE user_profile_id IN ${USERS})`, random, 1)} RETURNING *)
       INSERT INTO zerver_subscription SELECT r.* FROM gone, LATERAL jsonb_populate_record(NULL::zerver_subscription, to_jsonb(gone) || jsonb_build_object('id', (SELECT max(id) + 1 FROM zerver_subscription))) AS r`],
  'reactions': (random) => [
    `DELETE FROM zerver_reaction WHERE id IN ${some(`(SELECT id FROM zerver_reaction WHERE user_profile_id IN ${USERS})`, random, 2)}`,
    `UPDATE zerver_reaction SET emoji_name = 'tada', emoji_code = '1f389' WHERE id IN ${some(`(SELECT id FROM zerver_reaction WHERE user_profile_id IN ${USERS})`, random, 1)} AND reaction_type = 'unicode_emoji'
       AND NOT EXISTS (SELECT FROM zerver_reaction o WHERE o.emoji_code = '1f389')`,
  ],
  'new reactions': (random) => [0, random(2)].map(() => `
    INSERT INTO zerver_reaction SELECT r.* FROM zerver_reaction t, LATERAL jsonb_populate_record(t, jsonb_build_object('id', (SELECT max(id) + 1 FROM zerver_reaction), 'message_id', ${some(MESSAGES, random, 1)},
      'emoji_code', '1f4' || (SELECT max(id) FROM zerver_reaction), 'reaction_type', 'unicode_emoji')) AS r
    WHERE t.id IN ${some(`(SELECT id FROM zerver_reaction WHERE user_profile_id IN ${USERS})`, random, 1)}
    -- Releases before emoji codes have one of a name for each person and message.
    ON CONFLICT DO NOTHING`),
  'an attachment is named no more': (random) => [`DELETE FROM zerver_attachment_messages WHERE attachment_id IN ${some(`(SELECT id FROM zerver_attachment WHERE realm_id = ${REALM})`, random, 1)}`],
  'another realm writes': () => [`UPDATE zerver_usermessage SET flags = flags | 2 WHERE user_profile_id NOT IN ${USERS}`],
  'a transaction that is rolled back': (random) => [`DO $$ BEGIN BEGIN ${newMessages(random)}; UPDATE zerver_usermessage SET flags = 0; RAISE EXCEPTION 'no'; EXCEPTION WHEN raise_exception THEN NULL; END; END $$`],
  'a change in a subtransaction': (random) => [`DO $$ BEGIN PERFORM txid_current(); BEGIN UPDATE zerver_usermessage SET flags = flags | 4 WHERE id IN ${some(`(SELECT id FROM zerver_usermessage WHERE user_profile_id IN ${USERS})`, random, 3)}; EXCEPTION WHEN division_by_zero THEN NULL; END; END $$`],
  'rows locked, and locked by several': (random) => [`BEGIN; SELECT FROM zerver_message WHERE id IN ${some(MESSAGES, random, 50)} FOR UPDATE; COMMIT`, `BEGIN; SELECT FROM zerver_usermessage WHERE id IN (SELECT min(id) FROM zerver_usermessage) FOR KEY SHARE; SAVEPOINT a; SELECT FROM zerver_usermessage WHERE id IN (SELECT min(id) FROM zerver_usermessage) FOR UPDATE; COMMIT`],
  'VACUUM FREEZE': () => ['VACUUM (FREEZE) zerver_message', 'VACUUM (FREEZE) zerver_usermessage'],
  'a table written anew': (random) => [`VACUUM FULL ${['zerver_usermessage', 'zerver_message'][random(2)] ?? ''}`],
};

/** Who agrees that private data travel, since Zulip 10. */
export const CONSENT: Readonly<Record<string, Happening>> = {
  'somebody agrees, or no more': (random) => [`UPDATE zerver_userprofile SET allow_private_data_export = NOT allow_private_data_export WHERE id IN ${some(USERS, random, 1)} AND role > 100`],
};
