-- What people who are not in the export added to the realm's polls and to-do lists.
-- @class message
-- @reason added to a poll or to-do list by a user of another realm

-- @select mode full, release >= 12
-- @select mode consent, release >= 12
-- @select mode public, release >= 12
SELECT t.id
FROM zerver_message m
JOIN zerver_submessage t ON t.message_id = m.id
WHERE m.realm_id = :realm_id AND NOT EXISTS (SELECT 1 FROM possible_sender p WHERE p.id = t.sender_id)
