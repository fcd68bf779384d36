/** What people may do to the database between the end of a run and the run that resumes it; a mixture of snapshots would show each. */

const ACME = "(SELECT id FROM zerver_realm WHERE string_id = 'acme')";

export const CHANGES: Readonly<Record<string, string>> = {
  'new messages': `
    INSERT INTO zerver_message SELECT made.* FROM
      (SELECT m, (SELECT max(id) FROM zerver_message) + row_number() OVER () AS id FROM zerver_message m WHERE realm_id = ${ACME} ORDER BY m.id DESC LIMIT 700) AS recent,
      LATERAL jsonb_populate_record(recent.m, jsonb_build_object('id', recent.id)) AS made`,
  'an early message deleted': `
    CREATE TEMP TABLE gone AS SELECT m.id FROM zerver_message m WHERE realm_id = ${ACME} AND NOT EXISTS (SELECT FROM zerver_attachment_messages a WHERE a.message_id = m.id) ORDER BY m.id OFFSET 100 LIMIT 1;
    DELETE FROM zerver_usermessage WHERE message_id IN (SELECT id FROM gone);
    DELETE FROM zerver_reaction WHERE message_id IN (SELECT id FROM gone);
    DELETE FROM zerver_message WHERE id IN (SELECT id FROM gone)`,
  'messages read and starred': 'UPDATE zerver_usermessage SET flags = flags | 2 WHERE id % 997 = 0',
  'a file gone, addresses and emoji changed': `
    UPDATE zerver_userprofile SET email = 'moved-' || email WHERE realm_id = ${ACME};
    DELETE FROM zerver_attachment_messages WHERE attachment_id = (SELECT min(id) FROM zerver_attachment WHERE realm_id = ${ACME});
    UPDATE zerver_realmemoji SET deactivated = NOT deactivated WHERE realm_id = ${ACME}`,
};
