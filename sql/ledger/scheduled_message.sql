-- Scheduled messages that stay: their author did not agree, or their recipient stays.
-- @class disjoint_user
-- @reason the author did not agree, or the recipient stays

-- @select mode full, migration zerver >= 0423
-- @select mode consent, migration zerver >= 0423
-- @select mode public, migration zerver >= 0423
SELECT s.id
FROM zerver_scheduledmessage s
LEFT JOIN exported_scheduled_message e ON e.id = s.id
WHERE s.realm_id = :realm_id AND e.id IS NULL
