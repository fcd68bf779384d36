-- Muted, unmuted and followed topics.
-- @file realm.json

-- @select mode user, release >= 5
SELECT t.*
FROM zerver_usertopic t
WHERE t.user_profile_id = :user_id

-- @select
SELECT t.*
FROM zerver_usertopic t
JOIN private_data_user u ON u.id = t.user_profile_id
