-- State of polls and to-do lists, since Zulip 12. Like a reaction, what another realm's user added stays.
-- @file realm.json
-- @since release >= 12

-- @select mode user
SELECT t.*
FROM zerver_submessage t
WHERE t.sender_id = :user_id

-- A run of many realms asks range by range of the messages that it has copied, and takes of each message the rows for its realm.
-- @select copied messages
SELECT t.*
FROM possible_sender p
JOIN zerver_submessage t ON t.sender_id = p.id
WHERE t.message_id = ANY (:message_ids)

-- To count those of many realms, the message of each is looked up: to look for those of each message would never end.
-- @select many realms
SELECT t.*
FROM possible_sender p
JOIN zerver_submessage t ON t.sender_id = p.id
JOIN exported_message m ON m.id = t.message_id

-- By their senders first, as zerver_reaction by its users.
-- @select
SELECT t.*
FROM possible_sender p
JOIN zerver_submessage t ON t.sender_id = p.id
LEFT JOIN exported_message_id m ON m.id = t.message_id
WHERE COALESCE(m.id, 0) <> 0
