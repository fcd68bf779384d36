-- Introductions that a user has seen (since Zulip 8).
-- @file realm.json

-- @select mode user
SELECT t.*
FROM zerver_onboardingstep t
WHERE t.user_id = :user_id

-- @select
SELECT t.*
FROM zerver_onboardingstep t
JOIN private_data_user u ON u.id = t.user_id
