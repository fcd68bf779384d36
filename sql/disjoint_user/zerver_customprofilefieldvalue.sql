-- What users wrote in the realm's profile fields.
-- @file realm.json

-- @select mode user, release >= 5
SELECT t.*
FROM zerver_customprofilefieldvalue t
WHERE t.user_profile_id = :user_id

-- @select
SELECT t.*
FROM zerver_customprofilefieldvalue t
JOIN profile_user u ON u.id = t.user_profile_id
