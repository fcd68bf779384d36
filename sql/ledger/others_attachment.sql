-- Uploaded files of others that a single user's messages name.
-- @class file
-- @reason named by a message of the user, and uploaded by somebody else

-- @select mode user
SELECT a.id, array_agg(am.message_id ORDER BY am.message_id) AS messages
FROM own_message o
JOIN zerver_attachment_messages am ON am.message_id = o.id
JOIN zerver_attachment a ON a.id = am.attachment_id
WHERE a.owner_id <> :user_id
GROUP BY a.id
