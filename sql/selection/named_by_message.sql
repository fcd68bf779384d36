-- Attachments of the realm that exported messages name, with the ids of these messages.

SELECT am.attachment_id AS id, array_agg(am.message_id ORDER BY am.message_id) AS messages
FROM zerver_attachment b
JOIN zerver_attachment_messages am ON am.attachment_id = b.id
JOIN exported_message em ON em.id = am.message_id
WHERE b.realm_id = :realm_id
GROUP BY am.attachment_id
