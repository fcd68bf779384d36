-- Uploaded files that exported messages name and that stay, for their owner may not travel or the file cannot be had; with the
-- messages, whose links lead nowhere then. An export takes them out of the rows of zerver_attachment that it has copied: when it
-- knows which files are missing, the database is let go. `merge` ties them to the file where another half has it.
-- @class file
-- @reason named by a message, and its owner may not travel or its file is missing

-- @select mode full
-- @select mode consent
-- @select mode public
SELECT a.id, COALESCE(m.messages, '{}') AS messages, COALESCE(s.scheduled_messages, '{}') AS scheduled_messages
FROM zerver_attachment a
LEFT JOIN named_by_message m ON m.id = a.id
LEFT JOIN named_by_scheduled s ON s.id = a.id
WHERE a.realm_id = :realm_id AND a.id IN (SELECT unnest(:missing_attachment_ids))
