-- Introductions that a user has seen (until Zulip 7).
-- @file realm.json

-- @select mode user, release >= 5
SELECT t.*
FROM zerver_userhotspot t
WHERE t.user_id = :user_id

-- @select
SELECT t.*
FROM zerver_userhotspot t
JOIN private_data_user u ON u.id = t.user_id
