-- Statistics of the users.
-- @file analytics.json

-- @select mode user, release >= 5
SELECT t.*
FROM analytics_usercount t
WHERE t.user_id = :user_id

-- @select
SELECT t.*
FROM analytics_usercount t
WHERE t.realm_id = :realm_id
