-- Text snippets (since Zulip 10).
-- @file realm.json

-- @select mode user
SELECT t.*
FROM zerver_savedsnippet t
WHERE t.user_profile_id = :user_id

-- @select
SELECT t.*
FROM zerver_savedsnippet t
JOIN private_data_user u ON u.id = t.user_profile_id
