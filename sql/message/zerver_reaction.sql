-- Reactions to exported messages. One of another realm's user stays: its author is not in the export.
-- @file realm.json

-- @select mode user
SELECT t.*
FROM zerver_reaction t
WHERE t.user_profile_id = :user_id

-- @select
SELECT t.*
FROM zerver_reaction t
JOIN exported_message m ON m.id = t.message_id
JOIN possible_sender p ON p.id = t.user_profile_id
