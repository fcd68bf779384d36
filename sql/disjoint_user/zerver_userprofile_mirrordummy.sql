-- Placeholder users, under a name of their own.
-- @file realm.json
-- @table zerver_userprofile

SELECT u.*
FROM shown_user u
WHERE u.is_mirror_dummy
