-- Attachments that exported scheduled messages name, with the ids of these.

-- @select table zerver_attachment_scheduled_messages, release >= 7
SELECT asm.attachment_id AS id, array_agg(asm.scheduledmessage_id ORDER BY asm.scheduledmessage_id) AS scheduled_messages
FROM zerver_attachment_scheduled_messages asm
JOIN exported_scheduled_message es ON es.id = asm.scheduledmessage_id
GROUP BY asm.attachment_id

-- @select
SELECT m.id, m.messages AS scheduled_messages
FROM named_by_message m
WHERE false
