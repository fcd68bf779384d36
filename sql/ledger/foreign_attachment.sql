-- Uploaded files that exported messages name and whose rows belong to another realm: those that came by mail are the e-mail
-- gateway's, and have the system bots' realm in row and path. Zulip leaves them out as well.
-- @class file
-- @reason named by a message, and of another realm (what came by mail is of the system bots' realm)

-- Of many realms, files that messages name are fewer than messages: these are looked up for each.
-- @select many realms
SELECT a.id, array_agg(am.message_id ORDER BY am.message_id) AS messages
FROM zerver_attachment_messages am
JOIN zerver_attachment a ON a.id = am.attachment_id
JOIN exported_message m ON m.id = am.message_id
WHERE a.realm_id <> :realm_id
GROUP BY a.id

-- Few of the realm's messages, whose ids an index has, name such a file: whether these travel is looked up for each.
-- @select mode full, release >= 8
-- @select mode consent, release >= 8
-- @select mode public, release >= 8
SELECT a.id, array_agg(am.message_id ORDER BY am.message_id) AS messages
FROM zerver_message r
JOIN zerver_attachment_messages am ON am.message_id = r.id
JOIN zerver_attachment a ON a.id = am.attachment_id
JOIN exported_message m ON m.id = r.id
WHERE r.realm_id = :realm_id AND a.realm_id <> :realm_id
GROUP BY a.id

-- @select mode full
-- @select mode consent
-- @select mode public
SELECT a.id, array_agg(am.message_id ORDER BY am.message_id) AS messages
FROM exported_message_id m
JOIN zerver_attachment_messages am ON am.message_id = m.id
JOIN zerver_attachment a ON a.id = am.attachment_id
WHERE a.realm_id <> :realm_id
GROUP BY a.id
