-- Reactions to exported messages. One of another realm's user stays: its author is not in the export.
-- @file realm.json

-- @select mode user, release >= 5
SELECT t.*
FROM zerver_reaction t
WHERE t.user_profile_id = :user_id

-- A run of many realms asks range by range of the messages that it has copied, and takes of each message the rows for its realm.
-- @select copied messages
SELECT t.*
FROM possible_sender p
JOIN zerver_reaction t ON t.user_profile_id = p.id
WHERE t.message_id = ANY (:message_ids)

-- To count those of many realms, the message of each is looked up: to look for those of each message would never end.
-- @select many realms
SELECT t.*
FROM possible_sender p
JOIN zerver_reaction t ON t.user_profile_id = p.id
JOIN exported_message m ON m.id = t.message_id

-- By their users first: an index has the reactions of each, while to look for those of every message takes half as long again.
-- The outer join and COALESCE keep PostgreSQL, which expects too few messages, from turning it round.
-- @select
SELECT t.*
FROM possible_sender p
JOIN zerver_reaction t ON t.user_profile_id = p.id
LEFT JOIN exported_message_id m ON m.id = t.message_id
WHERE COALESCE(m.id, 0) <> 0
