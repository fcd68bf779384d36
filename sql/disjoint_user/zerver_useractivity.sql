-- Last use of each client and query.
-- @file realm.json

-- @select mode user, release >= 5
SELECT t.*
FROM zerver_useractivity t
WHERE t.user_profile_id = :user_id

-- @select
SELECT t.*
FROM zerver_useractivity t
JOIN private_data_user u ON u.id = t.user_profile_id
