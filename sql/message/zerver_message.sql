-- Messages. A single user's carry readable extras: the names of the flags, the client and the recipient.
-- @file messages
-- @omit search_tsvector, when release < 5

-- @select mode user, release >= 5
SELECT m.*, o.flags, o.flags_mask, o.sending_client_name, n.recipient_name
FROM readable_message o
JOIN zerver_message m ON m.id = o.id
JOIN own_recipient_name n ON n.id = m.id

-- @select mode user
SELECT m.*, o.flags, o.flags_mask, o.sending_client_name, n.display_recipient
FROM readable_message o
JOIN zerver_message m ON m.id = o.id
JOIN own_recipient_name n ON n.id = m.id

-- @select
SELECT m.*
FROM exported_message m
