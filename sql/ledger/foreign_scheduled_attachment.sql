-- The same of scheduled messages.
-- @class file
-- @reason named by a scheduled message, and of another realm

-- @select mode full, table zerver_attachment_scheduled_messages
-- @select mode consent, table zerver_attachment_scheduled_messages
SELECT a.id, array_agg(s.id ORDER BY s.id) AS scheduled_messages
FROM exported_scheduled_message s
JOIN zerver_attachment_scheduled_messages am ON am.scheduledmessage_id = s.id
JOIN zerver_attachment a ON a.id = am.attachment_id
WHERE a.realm_id <> :realm_id
GROUP BY a.id
