-- Groups inside groups.
-- @file realm.json

SELECT t.*
FROM zerver_groupgroupmembership t
JOIN zerver_usergroup g ON g.id = t.supergroup_id
WHERE g.realm_id = :realm_id
