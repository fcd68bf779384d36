-- Reactions to the realm's messages by people who are not in the export.
-- @class message
-- @reason the reaction is by a user of another realm

-- Asked of all of the realm's messages, which an index names, not of those that travel: that takes a third of the time.
-- @select mode full, release >= 8
-- @select mode consent, release >= 8
-- @select mode public, release >= 8
SELECT t.id, t.message_id
FROM zerver_message m
JOIN zerver_reaction t ON t.message_id = m.id
WHERE m.realm_id = :realm_id AND NOT EXISTS (SELECT 1 FROM possible_sender p WHERE p.id = t.user_profile_id)

-- @select mode full
-- @select mode consent
-- @select mode public
SELECT t.id, t.message_id
FROM zerver_reaction t
JOIN exported_message m ON m.id = t.message_id
LEFT JOIN possible_sender p ON p.id = t.user_profile_id
WHERE p.id IS NULL
