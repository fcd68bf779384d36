-- Addresses for messages. Of a single user, those that lead somewhere.
-- @file realm.json

-- @select mode user
SELECT r.*
FROM zerver_recipient r
JOIN zerver_subscription s ON s.recipient_id = r.id
LEFT JOIN zerver_stream t ON t.id = r.type_id AND r.type = 2
WHERE s.user_profile_id = :user_id AND (t.id IS NOT NULL OR r.type = 3 OR (r.type = 1 AND r.type_id = :user_id))

-- @select
SELECT r.*
FROM zerver_recipient r
JOIN exported_recipient e ON e.id = r.id
