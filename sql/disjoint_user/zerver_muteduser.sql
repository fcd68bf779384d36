-- Whom a user muted.
-- @file realm.json
-- @since release >= 5

-- @select mode user
SELECT t.*
FROM zerver_muteduser t
WHERE t.user_profile_id = :user_id

-- @select
SELECT t.*
FROM zerver_muteduser t
JOIN private_data_user u ON u.id = t.user_profile_id
