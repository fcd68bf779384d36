-- Addresses for messages.
-- @file realm.json

-- @select mode user
SELECT r.*
FROM zerver_recipient r
JOIN zerver_subscription s ON s.recipient_id = r.id
WHERE s.user_profile_id = :user_id

-- @select
SELECT r.*
FROM zerver_recipient r
JOIN exported_recipient e ON e.id = r.id
