-- Scheduled messages that stay: their author did not agree, or their recipient stays, or author or client are gone.
-- @class disjoint_user
-- @reason the author did not agree, or the author, the client or the recipient is not in the export

-- @select mode full, release >= 7
-- @select mode consent, release >= 7
-- @select mode public, release >= 7
SELECT s.id
FROM zerver_scheduledmessage s
LEFT JOIN exported_scheduled_message e ON e.id = s.id
WHERE s.realm_id = :realm_id AND e.id IS NULL
