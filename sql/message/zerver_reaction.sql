-- Reactions to exported messages.
-- @file realm.json

-- @select mode user
SELECT t.*
FROM zerver_reaction t
WHERE t.user_profile_id = :user_id

-- @select
SELECT t.*
FROM zerver_reaction t
JOIN exported_message m ON m.id = t.message_id
