-- Whose public profile (custom fields, presence) travels: consent does not matter.

-- @select migration zerver >= 0600
SELECT u.id
FROM exported_user u

-- @select migration zerver < 0600
SELECT u.id
FROM exported_user u
WHERE NOT u.is_mirror_dummy
