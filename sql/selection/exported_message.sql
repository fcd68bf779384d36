-- The messages that travel. No side of a condition grows with the number of messages. The scalar subquery (not EXISTS) keeps
-- PostgreSQL from hashing every usermessage of set C for the few protected channels.

-- @table zerver_message

-- Conditions instead of joins (IS TRUE keeps the first from becoming one): the messages then come in the order of their ids out
-- of the index of the realm, each page of the table is read once, and nothing is sorted.
-- @select release >= 8
SELECT m.*
FROM zerver_message m
WHERE m.realm_id = :realm_id
  AND (m.sender_id IN (SELECT s.id FROM possible_sender s)) IS TRUE
  AND (m.recipient_id IN (SELECT a.id FROM addressee a WHERE a.is_open)
       OR (m.recipient_id IN (SELECT a.id FROM addressee a WHERE a.is_contact) AND m.sender_id IN (SELECT s.id FROM possible_sender s WHERE s.agrees))
       OR (m.recipient_id IN (SELECT a.id FROM addressee a WHERE a.is_protected)
           AND COALESCE((SELECT true FROM zerver_usermessage um JOIN exported_user u ON u.id = um.user_profile_id
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
