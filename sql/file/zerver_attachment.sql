-- Uploaded files that an exported message or scheduled message names. One whose file is missing stays (its id is in
-- :missing_attachment_ids): the import would stop half-way at a row without a file.
-- @file attachment.json

-- @select table zerver_attachment_scheduled_messages, release >= 7
SELECT a.*, COALESCE(m.messages, '{}') AS messages, COALESCE(s.scheduled_messages, '{}') AS scheduled_messages
FROM zerver_attachment a
LEFT JOIN named_by_message m ON m.id = a.id
LEFT JOIN named_by_scheduled s ON s.id = a.id
WHERE a.realm_id = :realm_id AND (m.id IS NOT NULL OR s.id IS NOT NULL)
  AND a.id NOT IN (SELECT unnest(:missing_attachment_ids))

-- @select
SELECT a.*, m.messages AS messages
FROM zerver_attachment a
JOIN named_by_message m ON m.id = a.id
WHERE a.realm_id = :realm_id AND a.id NOT IN (SELECT unnest(:missing_attachment_ids))
