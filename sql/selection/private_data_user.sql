-- Whose alert words, drafts of settings, activity and the like travel.

-- @select mode full, release >= 10
SELECT u.id
FROM exported_user u

-- @select release < 10
SELECT u.id
FROM exported_user u
WHERE NOT u.is_mirror_dummy

-- @select mode consent
-- @select mode public
SELECT u.id
FROM exported_user u
WHERE u.agrees
