-- A user's navigation settings (since Zulip 12).
-- @file realm.json

-- @select mode user
SELECT t.*
FROM zerver_navigationview t
WHERE t.user_id = :user_id

-- @select
SELECT t.*
FROM zerver_navigationview t
JOIN private_data_user u ON u.id = t.user_id
