-- Messages of the realm's users in such groups.
-- @class message
-- @reason sent to a group with somebody of another realm

-- @select release >= 8
SELECT m.id, m.recipient_id
FROM group_recipient g
JOIN zerver_message m ON m.recipient_id = g.id
JOIN possible_sender s ON s.id = m.sender_id
WHERE NOT g.safe AND m.realm_id = :realm_id

-- @select
SELECT m.id, m.recipient_id
FROM group_recipient g
JOIN zerver_message m ON m.recipient_id = g.id
JOIN possible_sender s ON s.id = m.sender_id
WHERE NOT g.safe
