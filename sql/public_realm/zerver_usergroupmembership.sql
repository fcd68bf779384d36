-- Users inside groups.
-- @file realm.json

SELECT t.*
FROM zerver_usergroupmembership t
JOIN zerver_usergroup g ON g.id = t.user_group_id
WHERE g.realm_id = :realm_id
