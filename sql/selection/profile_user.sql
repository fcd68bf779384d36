-- Whose public profile (custom fields, presence) travels: consent does not matter.

-- @select release >= 10
SELECT u.id
FROM exported_user u

-- @select release < 10
SELECT u.id
FROM exported_user u
WHERE NOT u.is_mirror_dummy
