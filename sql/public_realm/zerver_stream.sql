-- Channels.
-- @file realm.json
-- @strip email_token

-- @select mode user
SELECT t.*
FROM zerver_stream t
JOIN zerver_recipient r ON r.type_id = t.id
JOIN zerver_subscription s ON s.recipient_id = r.id
WHERE r.type = 2 AND s.user_profile_id = :user_id

-- @select
SELECT t.*
FROM zerver_stream t
WHERE t.realm_id = :realm_id
