-- Messages of the realm's users in such groups.
-- @class message
-- @reason sent to a group with somebody of another realm

-- @select many realms, release >= 8
SELECT m.id, m.recipient_id
FROM group_recipient g
JOIN zerver_message m ON m.recipient_id = g.id
JOIN possible_sender s ON s.id = m.sender_id
WHERE NOT g.safe AND m.realm_id = :realm_id

-- Such groups are few: asked for by their list, an index yields their messages; joined, PostgreSQL expects half of all groups, and looks at every message.
-- IS TRUE keeps the planner from going through the index of all of the realm's messages for the few of these groups.
-- @select release >= 8
SELECT m.id, m.recipient_id
FROM zerver_message m
JOIN possible_sender s ON s.id = m.sender_id
WHERE (m.realm_id = :realm_id) IS TRUE AND m.recipient_id = ANY (ARRAY(SELECT g.id FROM group_recipient g WHERE NOT g.safe))

-- @select
SELECT m.id, m.recipient_id
FROM group_recipient g
JOIN zerver_message m ON m.recipient_id = g.id
JOIN possible_sender s ON s.id = m.sender_id
WHERE NOT g.safe
