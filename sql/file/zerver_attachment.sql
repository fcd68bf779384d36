-- Uploaded files that an exported message or scheduled message names. One whose file is missing stays (its id is in
-- :missing_attachment_ids): the import would stop half-way at a row without a file.
-- @file attachment.json

-- @select table zerver_attachment_scheduled_messages, migration zerver >= 0423
SELECT a.*, COALESCE(m.ids, '{}') AS messages, COALESCE(s.ids, '{}') AS scheduled_messages
FROM zerver_attachment a
LEFT JOIN (
  SELECT am.attachment_id, array_agg(am.message_id ORDER BY am.message_id) AS ids
  FROM zerver_attachment b
  JOIN zerver_attachment_messages am ON am.attachment_id = b.id
  JOIN exported_message em ON em.id = am.message_id
  WHERE b.realm_id = :realm_id
  GROUP BY am.attachment_id
) AS m ON m.attachment_id = a.id
LEFT JOIN (
  SELECT asm.attachment_id, array_agg(asm.scheduledmessage_id ORDER BY asm.scheduledmessage_id) AS ids
  FROM zerver_attachment_scheduled_messages asm
  JOIN exported_scheduled_message es ON es.id = asm.scheduledmessage_id
  GROUP BY asm.attachment_id
) AS s ON s.attachment_id = a.id
WHERE a.realm_id = :realm_id AND (m.ids IS NOT NULL OR s.ids IS NOT NULL)
  AND a.id NOT IN (SELECT unnest(:missing_attachment_ids))

-- @select
SELECT a.*, m.ids AS messages
FROM zerver_attachment a
JOIN (
  SELECT am.attachment_id, array_agg(am.message_id ORDER BY am.message_id) AS ids
  FROM zerver_attachment b
  JOIN zerver_attachment_messages am ON am.attachment_id = b.id
  JOIN exported_message em ON em.id = am.message_id
  WHERE b.realm_id = :realm_id
  GROUP BY am.attachment_id
) AS m ON m.attachment_id = a.id
WHERE a.realm_id = :realm_id AND a.id NOT IN (SELECT unnest(:missing_attachment_ids))
