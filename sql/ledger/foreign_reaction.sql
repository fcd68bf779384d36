-- Reactions to exported messages by people who are not in the export.
-- @class message
-- @reason the reaction is by a user of another realm

-- @select mode full
-- @select mode consent
-- @select mode public
SELECT t.id, t.user_profile_id
FROM zerver_reaction t
JOIN exported_message m ON m.id = t.message_id
LEFT JOIN possible_sender p ON p.id = t.user_profile_id
WHERE p.id IS NULL
