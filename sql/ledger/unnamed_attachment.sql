-- Uploaded files of the realm that stay: no message that travels names them.
-- @class file
-- @reason no message that travels names it

-- @select mode full, table zerver_attachment_scheduled_messages, migration zerver >= 0423
-- @select mode consent, table zerver_attachment_scheduled_messages, migration zerver >= 0423
-- @select mode public, table zerver_attachment_scheduled_messages, migration zerver >= 0423
SELECT a.id, a.owner_id
FROM zerver_attachment a
LEFT JOIN (
  SELECT am.attachment_id AS id
  FROM zerver_attachment b
  JOIN zerver_attachment_messages am ON am.attachment_id = b.id
  JOIN exported_message em ON em.id = am.message_id
  WHERE b.realm_id = :realm_id
  UNION
  SELECT asm.attachment_id AS id
  FROM zerver_attachment_scheduled_messages asm
  JOIN exported_scheduled_message es ON es.id = asm.scheduledmessage_id
) AS named ON named.id = a.id
WHERE a.realm_id = :realm_id AND named.id IS NULL

-- @select mode full
-- @select mode consent
-- @select mode public
SELECT a.id, a.owner_id
FROM zerver_attachment a
LEFT JOIN (
  SELECT am.attachment_id AS id
  FROM zerver_attachment b
  JOIN zerver_attachment_messages am ON am.attachment_id = b.id
  JOIN exported_message em ON em.id = am.message_id
  WHERE b.realm_id = :realm_id
  GROUP BY am.attachment_id
) AS named ON named.id = a.id
WHERE a.realm_id = :realm_id AND named.id IS NULL
