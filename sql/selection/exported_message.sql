-- The messages that travel. Joins, not IN lists: both sides hash in bounded memory whatever the size of the realm.
-- The scalar subquery (not EXISTS) keeps PostgreSQL from hashing every usermessage of set C for the few protected channels.

-- @table zerver_message

-- In the order of their ids, as they lie in the table: the sum hides the index of recipients from PostgreSQL, which expects too
-- few messages and would read each of a table's pages many times.
-- @select migration zerver >= 0452
SELECT m.*
FROM zerver_message m
JOIN possible_sender s ON s.id = m.sender_id
JOIN addressee a ON a.id = m.recipient_id + 0
WHERE m.realm_id = :realm_id
  AND (a.is_open OR (a.is_contact AND s.agrees)
       OR (a.is_protected AND COALESCE((SELECT true FROM zerver_usermessage um JOIN exported_user u ON u.id = um.user_profile_id
                                        WHERE um.message_id = m.id AND u.agrees LIMIT 1), false)))

-- Until Zulip 8 the sender and the recipient alone decided.
-- @select
SELECT m.*
FROM zerver_message m
JOIN possible_sender s ON s.id = m.sender_id
JOIN addressee a ON a.id = m.recipient_id
WHERE a.is_open OR (a.is_contact AND s.agrees)
   OR (a.is_protected AND COALESCE((SELECT true FROM zerver_usermessage um JOIN exported_user u ON u.id = um.user_profile_id
                                    WHERE um.message_id = m.id AND u.agrees LIMIT 1), false))
