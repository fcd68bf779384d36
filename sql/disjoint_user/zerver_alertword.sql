-- Words that alert a user.
-- @file realm.json

-- @select mode user, release >= 5
SELECT t.*
FROM zerver_alertword t
WHERE t.user_profile_id = :user_id

-- @select
SELECT t.*
FROM zerver_alertword t
JOIN private_data_user u ON u.id = t.user_profile_id
