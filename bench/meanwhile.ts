/** What happens to a realm between a rehearsal and the move. */

/** Flags set in the whole history, for each 100,000 messages. */
const FLAGS = 200;

const REALM = "(SELECT id FROM zulip.zerver_realm WHERE string_id = 'acme')";

/** A hundredth of the messages are written, half as many edited, at the young end. */
export function meanwhile(scale: number): string {
  return `
  CREATE TEMP TABLE young AS SELECT m.id AS old, (SELECT max(id) FROM zulip.zerver_message) + row_number() OVER (ORDER BY m.id) AS new
    FROM (SELECT id FROM zulip.zerver_message WHERE realm_id = ${REALM} ORDER BY id DESC LIMIT ${1000 * scale}) AS m;
  INSERT INTO zulip.zerver_message SELECT r.* FROM young JOIN zulip.zerver_message m ON m.id = young.old, LATERAL jsonb_populate_record(m, jsonb_build_object('id', young.new)) AS r;
  INSERT INTO zulip.zerver_usermessage (id, flags, message_id, user_profile_id)
    SELECT (SELECT max(id) FROM zulip.zerver_usermessage) + row_number() OVER (ORDER BY young.new, u.id), 0, young.new, u.user_profile_id FROM young JOIN zulip.zerver_usermessage u ON u.message_id = young.old;
  UPDATE zulip.zerver_message SET content = content || ' (edited)' WHERE id IN (SELECT old FROM young WHERE old % 2 = 0);
  UPDATE zulip.zerver_usermessage SET flags = flags | 2 WHERE id IN (
    SELECT um.id FROM zulip.zerver_usermessage um WHERE um.message_id IN (SELECT id FROM zulip.zerver_message WHERE realm_id = ${REALM}) ORDER BY md5(um.id::text) LIMIT ${FLAGS * scale});
  ANALYZE zulip.zerver_message, zulip.zerver_usermessage`;
}
